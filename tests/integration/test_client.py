"""What the commands make of a router's answers, and of what is no router at all."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from typing_extensions import override

from longhaul.client import Client, ConnectionLostError
from longhaul.exits import CommandError, NotThereError, UnreachableError, UsageError
from longhaul.following import Job, StillRunning, follow, follow_output
from longhaul.target import Target
from tests.support.waiting import wait_for

PROBLEM = {"title": "A title", "detail": "the detail"}
JOB = {"id": "j", "state": "running"}
ENDED = {"id": "j", "state": "completed"}


@contextmanager
def answering(
    status: int, body: bytes, *, asked: list[str | None] | None = None, **headers: str
) -> Iterator[Client]:
    """A client of a server that says the same to everything; `asked` keeps each Last-Event-ID."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if asked is not None:
                asked.append(self.headers["last-event-id"])
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

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


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (401, UsageError, "LONGHAUL_API_KEY"),
        (403, UsageError, "the detail"),
        (404, NotThereError, "the detail"),
        (421, UsageError, "the detail"),
        (422, UsageError, "the detail"),
        (429, UnreachableError, "the detail; try again in 5 s"),
        (500, UsageError, "the detail"),
        (503, UnreachableError, "the detail; try again in 5 s"),
    ],
)
def test_a_problem_is_a_sentence_and_an_exit_code(
    status: int, kind: type[CommandError], words: str
) -> None:
    with (
        answering(status, json.dumps(PROBLEM).encode(), retry_after="5") as client,
        pytest.raises(kind, match=words),
    ):
        client.get("/v1/tools")


@pytest.mark.parametrize(
    ("status", "body"), [(200, b"<html>"), (404, b"<html>"), (502, b""), (404, b"[]")]
)
def test_something_else_on_the_port_is_said(status: int, body: bytes) -> None:
    with answering(status, body) as client, pytest.raises(CommandError, match="Longhaul router"):
        client.get("/v1/tools")


def test_a_stream_is_followed_to_the_end() -> None:
    said = ('{"value": 1, "total": null, "message": "a\u2028b"}', '{"level": "info", "data": ": "}')
    lines = [": keep-alive", "", "event: job", f"data: {json.dumps(JOB)}", ""]
    lines += ["event: progress", f"data: {said[0]}", "", "event: log", f"data: {said[1]}", ""]
    lines += ["event: end", f"data: {json.dumps(ENDED)}", "", ""]
    seen: list[Any] = []
    with answering(200, "\n".join(lines).encode(), content_type="text/event-stream") as client:
        assert follow(client, "j", None, seen.append, print) == ENDED
    assert seen == [JOB, JOB | {"progress": json.loads(said[0])}, ENDED]


def test_a_problem_in_the_stream_is_a_lost_connection() -> None:
    body = f"event: problem\ndata: {json.dumps(PROBLEM)}\n\n".encode()
    with answering(200, body) as client, pytest.raises(ConnectionLostError, match="A title"):
        list(client.story("j"))


def test_a_stream_that_ends_early_is_taken_up_where_it_stopped_until_the_time_is_over() -> None:
    body = f'event: change\ndata: {{"number": 7}}\nid: 7\n\nevent: job\ndata: {json.dumps(JOB)}\n\n'
    seen: list[Any] = []
    asked: list[str | None] = []
    with answering(200, body.encode(), asked=asked) as client, pytest.raises(StillRunning):
        follow(client, "j", 0.7, seen.append, print)
    assert len(seen) > 1
    assert asked[:2] == [None, "7"]


def test_a_router_that_never_answered_is_not_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    client = Client(Target(url=f"http://127.0.0.1:{port}"))
    with client, pytest.raises(UnreachableError, match="longhaul up"):
        follow(client, "j", 5.0, print, print)


def by_events(client: Client, said: Callable[[str], None]) -> Job:
    return follow(client, "j", None, lambda _: None, said, away=2.0)


def by_output(client: Client, said: Callable[[str], None]) -> Job:
    return follow_output(client, "j", "0", lambda _: None, said, away=2.0)


@pytest.mark.parametrize(
    ("follows", "event"),
    [(by_events, "event: job"), (by_output, "event: output"), (by_output, ": keep-alive")],
    ids=["events", "output", "output of a tool that says nothing"],
)
def test_a_router_that_goes_away_is_said_soon_and_the_job_goes_on(
    follows: Callable[[Client, Callable[[str], None]], Job], event: str
) -> None:
    body = f"{event}\ndata: {json.dumps(JOB)}\n\n".encode()
    told: list[str] = []
    asked: list[str | None] = []
    with ExitStack() as stack:
        served = stack.enter_context(answering(200, body, asked=asked))

        def go_away() -> None:
            wait_for(lambda: bool(asked))
            stack.close()

        gone = threading.Thread(target=go_away)
        gone.start()
        with (
            Client(Target(url=served.url)) as client,
            pytest.raises(StillRunning, match="went away and has not come back") as still,
        ):
            follows(client, told.append)
        gone.join()
    assert still.value.job == "j"
    (words,) = told
    assert "waiting 2 s for it to come back. Job j is kept" in words
