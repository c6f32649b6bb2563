"""An export of hundreds of megabytes, whole through its link, and no process holds it.

By roles of their own with blobs in S3, and in the one process of embedded mode with a folder. The
memory is the peak of each process, as the kernel counted it.
"""

import hashlib
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest

from examples.exporter.datasets import DATA
from tests.support.desk import Desk
from tests.support.namespaces import Namespace
from tests.support.processes import mentioning
from tests.support.servers import Shared
from tests.support.waiting import wait_for

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's peaks are in /proc")

ROOT = Path(__file__).parents[2]
COPIES = 350  # of a data set of 574 kB: 200 MB
MOST = 200  # MB of any process
EXPORT = "exporter__export_rows"
KEY = "alice=the-key"


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    desk = Desk(tmp_path)
    args = ["-m", "examples.exporter", "--output", str(tmp_path / "exports")]
    desk.configure(
        {"exporter": {"command": sys.executable, "args": args, "cwd": str(ROOT), "trusted": True}}
    )
    return desk


@pytest.fixture
def servers(
    rabbit: Shared, redis_server: Shared, namespace: Namespace, s3: str
) -> Mapping[str, str]:
    namespace.queues.add("exporter")
    return {
        "LONGHAUL_BROKER_URL": rabbit.url,
        "LONGHAUL_STORE_URL": redis_server.url,
        "LONGHAUL_NAMESPACE": namespace,
        "LONGHAUL_API_KEY": KEY,
        "LONGHAUL_BLOB_URL": s3,
    }


def export(url: str, copies: int, headers: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    """The job, and the link of its result."""
    arguments = {"dataset": "orders", "copies": copies}
    with httpx2.Client(base_url=url, headers=dict(headers), timeout=330) as http:
        made = http.post("/v1/jobs", json={"tool": EXPORT, "arguments": arguments}).json()
        job = str(made["id"])
        while (shown := http.get(f"/v1/jobs/{job}", params={"wait": 300}).json())["state"] in {
            "queued",
            "running",
        }:
            pass
    assert shown["state"] == "completed", shown["reason"]
    (link,) = (each for each in shown["result"]["content"] if each["type"] == "resource_link")
    return job, dict(link)


def downloaded(url: str, path: str, headers: Mapping[str, str]) -> tuple[str, int]:
    """SHA-256 and size of what comes, which nobody here holds either."""
    digest, size = hashlib.sha256(), 0
    with httpx2.stream("GET", f"{url}{path}", headers=dict(headers), timeout=60) as response:
        assert response.status_code == 200
        for piece in response.iter_bytes():
            digest.update(piece)
            size += len(piece)
    return digest.hexdigest(), size


def expected(copies: int) -> tuple[str, int]:
    header, _, rows = (DATA / "orders.csv").read_bytes().partition(b"\n")
    digest = hashlib.sha256(header + b"\n")
    for _ in range(copies):
        digest.update(rows)
    return digest.hexdigest(), len(header) + 1 + copies * len(rows)


def peaks(folder: Path) -> dict[str, float]:
    """MB of each process that works in this folder, or for it, at their most."""
    found = {}
    for pid in {*mentioning(str(folder)), *working_in(folder)}:
        status = Path(f"/proc/{pid}/status").read_text().splitlines()
        said = dict(line.split(":", 1) for line in status)
        found[f"{said['Name'].strip()} {pid}"] = int(said["VmHWM"].split()[0]) / 1000
    return found


def working_in(folder: Path) -> Iterator[int]:
    for each in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (each / "cwd").readlink() == folder:
                yield int(each.name)


def check(desk: Desk, url: str, copies: int, headers: Mapping[str, str]) -> dict[str, float]:
    job, link = export(url, copies, headers)
    fact = link["_meta"]["longhaul/file"]
    assert (fact["sha256"], fact["size"]) == expected(copies)
    assert downloaded(url, fact["path"], headers) == expected(copies)
    assert link["uri"].startswith(f"longhaul://job/{job}/files/orders-")
    found = peaks(desk.folder)
    assert max(found.values()) < MOST, found
    return found


def wait_for_the_tool(desk: Desk, **variables: str) -> None:
    def listed() -> bool:
        tools = desk.run("tools", "--json", **variables).json["tools"]
        return EXPORT in [each["name"] for each in tools]

    wait_for(listed, seconds=60, every=0.2)


def test_in_one_process_with_a_folder(desk: Desk) -> None:
    with desk.role("up", "--port", "0") as router:
        wait_for_the_tool(desk)
        found = check(desk, router["address"], COPIES, {})
        assert len(found) == 2, found  # the router and the exporter


def test_in_roles_of_their_own_with_s3(desk: Desk, servers: Mapping[str, str]) -> None:
    worker = ("worker", "--queue", "exporter=1")
    with desk.role("ingress", "--port", "0", **servers) as face, desk.role(*worker, **servers):
        url = face["address"]
        wait_for_the_tool(desk, LONGHAUL_URL=url, LONGHAUL_API_KEY=KEY)
        found = check(desk, url, COPIES, {"x-api-key": "the-key"})
        assert len(found) == 4, found  # ingress, the worker and its parent, the exporter
