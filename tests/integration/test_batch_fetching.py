"""Following a batch over connections that break: each result once, and an end that is told."""

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from typing_extensions import override

from common.clock import SystemClock
from longhaul.batch.fetching import fetched
from longhaul.batch.results import Order, open_results
from longhaul.client import Client
from longhaul.exits import NotThereError, UnreachableError
from longhaul.target import Target

ROWS = 5


class Script:
    """A router that has one more result at each look, and cuts some of its answers short."""

    def __init__(self, cuts: Sequence[int]) -> None:
        self.cuts = list(cuts)  # bytes of each results body that arrive, as long as there are any
        self.looks = 0
        self.page = ROWS  # results in one answer, at most
        self.cancelled = False  # and its rows end one by one, the first of them last

    def batch(self) -> bytes:
        self.looks += 1
        state = "running" if self.looks < ROWS else "completed"
        state = "cancelled" if self.cancelled else state
        counts = {"waiting": max(0, ROWS - self.looks)}
        return json.dumps({"id": "b", "state": state, "counts": counts}).encode()

    def results(self, after: int) -> bytes:
        if self.cancelled and self.looks < ROWS:
            return b""
        rows = range(after + 1, min(self.looks, ROWS, after + self.page) + 1)
        lines = [json.dumps({"row": row, "id": f"b.{row}"}) + "\n" for row in rows]
        return "".join(lines).encode()


@contextmanager
def served(script: Script) -> Iterator[Client]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            if "nope" in parts.path:
                self.send_error(404)
                return
            whole = parts.path.endswith("/b")
            query = parse_qs(parts.query)
            body = script.batch() if whole else script.results(int(query["after"][0]))
            sent = body if whole or not script.cuts else body[: script.cuts.pop(0)]
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(sent)

        @override
        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        with Client(Target(url=f"http://127.0.0.1:{server.server_port}")) as client:
            yield client
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def nobody(_: object) -> None:
    """Listens."""


class Hurried(SystemClock):
    """Pauses are short."""

    @override
    def pause(self, seconds: float) -> None:
        super().pause(seconds / 100)


@pytest.mark.parametrize("cuts", [[], [0, 5, 30, 1], [25, 25, 25]])
def test_each_result_once_whatever_breaks(tmp_path: Path, cuts: list[int]) -> None:
    script = Script(cuts)
    states: list[dict[str, Any]] = []
    said: list[str] = []
    file = tmp_path / "out"
    with served(script) as client, open_results(file, Order.INPUT, replace=False) as results:
        results.begin("b")
        seen = states.append
        ended = fetched(client, Hurried(), "b", results, Order.INPUT, seen, said.append)
    assert ended["state"] == "completed"
    assert [json.loads(each)["row"] for each in file.read_text().splitlines()] == [1, 2, 3, 4, 5]
    assert states[0]["state"] == "running"
    assert said == []  # it was back at once


@pytest.mark.parametrize("follow", [True, False])
def test_of_one_that_has_ended_all_pages_are_fetched(tmp_path: Path, *, follow: bool) -> None:
    script = Script([])
    script.looks, script.page = ROWS, 2
    file = tmp_path / "out"
    with served(script) as client, open_results(file, Order.INPUT, replace=False) as results:
        results.begin("b")
        fetched(client, Hurried(), "b", results, Order.INPUT, nobody, nobody, follow=follow)
    assert [json.loads(each)["row"] for each in file.read_text().splitlines()] == [1, 2, 3, 4, 5]


def test_of_a_cancelled_one_rows_that_are_still_open_are_waited_for(tmp_path: Path) -> None:
    script = Script([])
    script.cancelled = True
    file = tmp_path / "out"
    with served(script) as client, open_results(file, Order.INPUT, replace=False) as results:
        results.begin("b")
        fetched(client, Hurried(), "b", results, Order.INPUT, nobody, nobody)
    assert [json.loads(each)["row"] for each in file.read_text().splitlines()] == [1, 2, 3, 4, 5]


def test_without_following_it_takes_what_there_is(tmp_path: Path) -> None:
    script = Script([])
    script.looks = 1
    file = tmp_path / "out"
    with served(script) as client, open_results(file, Order.INPUT, replace=False) as results:
        results.begin("b")
        ended = fetched(client, Hurried(), "b", results, Order.INPUT, nobody, nobody, follow=False)
    assert ended["state"] == "running"
    assert len(file.read_text().splitlines()) == 2


def test_nobody_there_and_no_such_batch(tmp_path: Path) -> None:
    with open_results(tmp_path / "out", Order.INPUT, replace=False) as results:
        results.begin("b")
        with Client(Target(url="http://127.0.0.1:9")) as client, pytest.raises(UnreachableError):
            fetched(client, Hurried(), "b", results, Order.INPUT, nobody, nobody)
        with served(Script([])) as client, pytest.raises(NotThereError):
            fetched(client, Hurried(), "nope", results, Order.INPUT, nobody, nobody)
