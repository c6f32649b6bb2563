"""Callbacks as people use them: the command line, a router, and the example receiver beside it."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx2
import pytest
from standardwebhooks import Webhook

from common.clock import SystemClock
from tests.support.desk import GATED, Desk
from tests.support.ports import free_port
from tests.support.processes import kill_all
from tests.support.receiver import OLD_SECRET, SECRET
from tests.support.waiting import wait_for

TREE = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    desk = Desk(tmp_path_factory.mktemp("desk"))
    desk.configure(
        {"b": {"command": sys.executable, "args": [str(GATED)]}},
        callbacks={
            "secrets": [SECRET],
            "allow": ["127.0.0.1"],
            "attempts": 2,
            "first": "100ms",
        },
    )
    return desk


@pytest.fixture(scope="module")
def router(desk: Desk) -> Iterator[str]:
    with desk.router() as address:
        yield address


@contextmanager
def example(desk: Desk, port: int, *secrets: str) -> Iterator[Path]:
    """`examples/callback_receiver.py` as its page says; what it printed."""
    said = desk.folder / f"said{port}"
    with said.open("ab") as out:
        process = subprocess.Popen(
            (sys.executable, "-m", "examples.callback_receiver", "--port", str(port)),
            cwd=TREE,
            env={**desk.environment, "LONGHAUL_CALLBACK_SECRET": ",".join(secrets)},
            stdout=out,
            stderr=subprocess.PIPE,
            text=True,
        )
    try:
        assert process.stderr is not None
        assert "listening" in process.stderr.readline()
        yield said
    finally:
        kill_all(process)
        process.communicate()


@pytest.mark.usefixtures("router")
class TestWithARouter:
    def test_the_example_receives_the_end_once(self, desk: Desk) -> None:
        port = free_port()
        with example(desk, port, OLD_SECRET, SECRET) as said:
            url = f"http://127.0.0.1:{port}/hook?token=hidden"
            ran = desk.run("submit", "b__work", "--json", desk.work(), "--callback", url)
            assert ran.code == 0, ran.err
            job = ran.out.strip()
            wait_for(said.read_text, seconds=20)
            message = json.loads(said.read_text())
            assert (message["type"], message["data"]["id"]) == ("job.completed", job)
            wait_for(lambda: "delivered" in desk.run("jobs", "show", job).out)
            card = desk.run("jobs", "show", job).out
            assert "hidden" not in card
            again = desk.run("callbacks", "replay", job)
            assert (again.code, again.err.count("sent again")) == (0, 1)
            wait_for(lambda: desk.run("jobs", "show", job).out.count("callback delivered") == 2)
            assert len(said.read_text().splitlines()) == 1

    def test_a_batch_tells_of_its_end_once(self, desk: Desk, tmp_path: Path) -> None:
        port = free_port()
        rows, out = tmp_path / "rows.jsonl", tmp_path / "results.jsonl"
        rows.write_text(desk.work() + "\nbroken\n")
        words = ("batch", "b__work", str(rows), "--out", str(out))
        with example(desk, port, SECRET) as said:
            url = f"http://127.0.0.1:{port}/hook"
            ran = desk.run(*words, "--callback", url)
            assert ran.code == 1, ran.err  # of the broken row
            batch = json.loads(out.read_text().splitlines()[0])["id"].partition(".")[0]
            wait_for(said.read_text, seconds=20)
            message = json.loads(said.read_text())
            assert (message["type"], message["data"]["id"]) == ("batch.completed", batch)
            assert message["data"]["counts"]["completed"] == 1
            wait_for(lambda: "delivered" in desk.run("batches", "show", batch).out)
            again = desk.run(*words, "--callback", url)
            assert "continuing after 2 results" in again.err
        assert len(said.read_text().splitlines()) == 1

    def test_what_was_given_up_is_listed_and_sent_again(self, desk: Desk) -> None:
        port = free_port()
        url = f"http://127.0.0.1:{port}/"
        ran = desk.run("submit", "b__work", "--json", desk.work(), "--callback", url)
        job = ran.out.strip()

        def failed() -> bool:
            jobs = desk.run("callbacks", "ls", "--json").json["jobs"]
            return job in [each["id"] for each in jobs]

        wait_for(failed, seconds=30, every=0.2)
        shown = desk.run("callbacks", "ls").out
        assert "given up after 2 tries: no connection" in shown
        with example(desk, port, SECRET) as said:
            assert desk.run("callbacks", "replay", "--all").code == 0
            wait_for(lambda: job in said.read_text(), seconds=20)
        wait_for(lambda: not failed())
        assert "No callback has failed." in desk.run("callbacks", "ls").err

    def test_a_forbidden_address_is_refused_with_the_submission(self, desk: Desk) -> None:
        url = "https://169.254.169.254/latest/meta-data"
        ran = desk.run("submit", "b__work", "--json", desk.work(), "--callback", url)
        assert ran.code == 2
        assert "169.254.169.254 is not on the public net" in ran.err

    def test_a_job_without_one_has_nothing_to_send(self, desk: Desk) -> None:
        job = desk.run("submit", "b__work", "--json", desk.work()).out.strip()
        ran = desk.run("callbacks", "replay", job)
        assert ran.code == 2
        assert "names no callback" in ran.err


def test_the_example_believes_nobody_else(desk: Desk) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}/"
    with example(desk, port, SECRET) as said:
        now = int(SystemClock().now())
        for secret, at, status in (
            (OLD_SECRET, now, 401),
            (SECRET, now - 600, 401),
            (SECRET, now + 600, 401),
            (SECRET, now, 204),
        ):
            assert said.read_text() == ""
            headers = {
                "webhook-id": "msg_1",
                "webhook-timestamp": str(at),
                "webhook-signature": Webhook(secret).sign(
                    "msg_1", datetime.fromtimestamp(at, UTC), "{}"
                ),
            }
            answer = httpx2.post(url, content="{}", headers=headers, timeout=60)
            assert answer.status_code == status
