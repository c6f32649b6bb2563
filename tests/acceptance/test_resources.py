"""Documents as people use them: put from a terminal, read by an agent, never whole in memory."""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from mcp import Client

from tests.support.desk import Desk

pytestmark = pytest.mark.anyio

LARGE = 200 * 1024 * 1024  # bytes
MOST = 200_000  # kB


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    desk = Desk(tmp_path_factory.mktemp("desk"))
    desk.configure({})
    return desk


@pytest.fixture(scope="module")
def router(desk: Desk) -> Iterator[str]:
    with desk.role("up", "--port", "0") as announced:
        yield announced["address"]


@pytest.fixture
def rows(desk: Desk) -> Path:
    file = desk.folder / "rows [1].jsonl"
    file.write_text('{"rows": 1}\n{"rows": 2}\n')
    return file


@pytest.mark.usefixtures("router")
class TestCommands:
    def test_put_ls_get_and_rm(self, desk: Desk, rows: Path) -> None:
        put = desk.run("resources", "put", str(rows), "--ttl", "7d")
        sha256 = hashlib.sha256(rows.read_bytes()).hexdigest()
        assert (put.code, put.out) == (0, f"{sha256}\n")
        assert "application/x-ndjson" in put.err
        listed = desk.run("resources", "ls")
        assert all(word in listed.out for word in (sha256[:12], "rows [1].jsonl", "in 7 d", "own"))
        [known] = desk.run("resources", "ls", "--json").json["documents"]
        assert (known["size"], known["owner"]) == (24, "local")
        copy = desk.folder / "copy"
        assert desk.run("resources", "get", known["uri"], "-o", str(copy)).code == 0
        assert copy.read_bytes() == rows.read_bytes()
        assert desk.run_process("resources", "get", sha256).out == rows.read_text()
        assert desk.run_process("resources", "get", sha256[:12]).out == rows.read_text()
        assert desk.run("resources", "rm", sha256[:8]).code == 0
        assert desk.run("resources", "rm", sha256).code == desk.run("resources", "rm", "0" * 8).code
        assert desk.run("resources", "rm", sha256).code == 4
        assert desk.run("resources", "get", sha256, "-o", str(copy)).code == 4
        assert not [*desk.folder.glob("*.part")]

    def test_bad_input_is_told(self, desk: Desk) -> None:
        gone = desk.run("resources", "put", "nowhere.csv")
        assert (gone.code, "nowhere.csv: No such file" in gone.err) == (2, True)
        assert desk.run("resources", "get", "x").code == 2
        assert "nor 8 characters" in desk.run("resources", "get", "0123456").err
        wrong = desk.run("resources", "put", str(desk.folder / "longhaul.yaml"), "--type", "x")
        assert (wrong.code, "content-type" in wrong.err) == (2, True)


async def test_an_agent_lists_and_reads_what_was_put(desk: Desk, rows: Path, router: str) -> None:
    desk.run("resources", "put", str(rows), "--name", "rows")
    async with Client(f"{router}/mcp") as client:
        [listed] = (await client.list_resources()).resources
        assert (listed.name, listed.mime_type, listed.size) == ("rows", "application/x-ndjson", 24)
        [read] = (await client.read_resource(listed.uri)).contents
        assert read.model_dump()["text"] == rows.read_text()


def test_a_large_document_costs_the_router_no_memory(desk: Desk, router: str) -> None:
    large, back = desk.folder / "large", desk.folder / "back"
    with large.open("wb") as file:
        for number in range(LARGE // 2**20):
            file.write(number.to_bytes(8, "big") * (2**20 // 8))
    sha256 = desk.run("resources", "put", str(large)).out.strip()
    assert desk.run("resources", "get", sha256, "-o", str(back)).code == 0
    with back.open("rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == sha256
    assert 30_000 < peak(router_pid(router)) < MOST
    desk.run("resources", "rm", sha256)


def router_pid(address: str) -> int:
    """Of the process that listens there."""
    port = f":{int(address.rpartition(':')[2]):04X}"
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1].endswith(port) and fields[3] == "0A":
            return owner_of(f"socket:[{fields[9]}]")
    raise AssertionError(f"nobody listens at {address}")


def owner_of(socket: str) -> int:
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if str(link.readlink()) == socket:
                return int(link.parts[2])
        except OSError:  # somebody else's, or it has ended
            continue
    raise AssertionError(f"nobody has {socket}")


def peak(pid: int) -> int:
    """The most memory that the process ever had, kB."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1])
