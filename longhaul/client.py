"""The REST interface, as the commands use it: plain JSON in, errors that say what to do."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlsplit

import httpx2

from common.config.validate import is_loopback
from longhaul.event_stream import StreamEvent, read_events
from longhaul.exits import CommandError, NotThereError, UnreachableError, UsageError
from longhaul.target import Target

Json = dict[str, Any]

SPARE = 10.0  # seconds that a long poll may take besides its own wait
STREAM_SILENCE = 40.0  # seconds; a keep-alive comes every 15
ENDING_MANY = 300.0  # seconds for an order that ends any number of jobs
UPLOAD = 120.0  # seconds without a sign of life while a body is sent and looked at


class ConnectionLostError(UnreachableError):
    """It answered, and then no more."""


class Client:
    def __init__(self, target: Target) -> None:
        self._target = target
        headers = {"x-api-key": target.key} if target.key else {}
        # A proxy of the environment is for the world outside.
        outside = not is_loopback(urlsplit(target.url).hostname or "")
        self._http = httpx2.Client(
            base_url=target.url, headers=headers, timeout=SPARE, trust_env=outside
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.close()

    @property
    def url(self) -> str:
        return self._target.url

    def get(self, path: str, **query: str | float | None) -> Json:
        return self._json("GET", path, query)

    def submit(
        self, tool: str, arguments: Json, key: str | None = None, **more: str | float | Json | None
    ) -> Json:
        """`more` are further members of `POST /v1/jobs`, where they are said."""
        said = {name: value for name, value in more.items() if value is not None}
        body: Json = {"tool": tool, "arguments": arguments, **said}
        headers = {} if key is None else {"idempotency-key": key}
        return self._json("POST", "/v1/jobs", {}, body, headers)

    def tool(self, name: str) -> Json:
        return self.get(at("tools", name))

    def job(self, job: str, wait: float = 0) -> Json:
        return self.get(at("jobs", job), wait=wait or None)

    def result(self, job: str) -> Iterator[bytes]:
        """The whole result, as the tool gave it, in pieces as they come."""
        return self.pieces(at("jobs", job, "result"))

    def pieces(self, path: str, **query: str | float | None) -> Iterator[bytes]:
        """A body as it comes. Raises: ConnectionLostError: It broke, or nothing came for long."""
        given = {name: value for name, value in query.items() if value is not None}
        with (
            self._errors(),
            self._http.stream("GET", path, params=given, timeout=STREAM_SILENCE) as response,
        ):
            if not response.is_success:
                response.read()
                raise self._refusal(response)
            yield from response.iter_bytes()

    def upload(
        self, path: str, body: Iterable[bytes], headers: Mapping[str, str], **query: str | int
    ) -> Json:
        """A body that is sent piece by piece; it is read once."""
        with self._errors():
            response = self._http.post(
                path, params=query, content=body, headers=headers, timeout=UPLOAD
            )
        return self._answer(response)

    def put_document(self, body: Iterable[bytes], headers: Mapping[str, str], said: Json) -> Json:
        """As `upload`. `said` is what the query says of it: name, visibility, ttl."""
        with self._errors():
            response = self._http.put(
                "/v1/blobs", params=said, content=body, headers=headers, timeout=UPLOAD
            )
        return self._answer(response)

    def drop_document(self, sha256: str, owner: str | None) -> None:
        self._send("DELETE", at("blobs", sha256), {"owner": owner})

    def cancel(self, job: str) -> Json:
        return self._json("DELETE", at("jobs", job), {})

    def answer(self, job: str, answers: Json) -> Json:
        return self._json("POST", at("jobs", job, "answer"), {}, {"answers": answers})

    def replay_callback(self, job: str) -> Json:
        return self._json("POST", at("jobs", job, "callback/replay"), {})

    def create_key(self, name: str, *, role: str, caller: str | None, life: float | None) -> Json:
        """`life` in seconds; None: for ever."""
        body: Json = {"name": name, "role": role, "caller": caller, "expires_in": life}
        return self._json("POST", "/v1/keys", {}, body)

    def revoke_key(self, name: str) -> None:
        self._send("DELETE", at("keys", name), {})

    def delete(self, path: str) -> Json:
        return self._json("DELETE", path, {})

    def post(self, path: str, body: Json) -> Json:
        return self._json("POST", path, {}, body)

    def order_backend(self, backend: str, order: str, **query: str | float | None) -> Json:
        return self._json("POST", at("backends", backend, order), query)

    def order_queue(self, queue: str, order: str) -> Json:
        return self._json("POST", at("queues", queue, order), {})

    def forget_backend(self, backend: str) -> Json:
        """Its waiting jobs are ended before the answer comes, however many."""
        return self._answer(self._send("DELETE", at("backends", backend), {}, patience=ENDING_MANY))

    def backend_logs(self, backend: str, lines: int) -> Json:
        return self.get(at("backends", backend, "logs"), lines=lines)

    def dead_letters(self, **query: str | float | None) -> Json:
        return self._json("GET", "/v1/dead-letters", query)

    def dead_letter(self, letter: str) -> Json:
        return self.get(at("dead-letters", letter))

    def replay(self, letter: str, body: Json) -> Json:
        return self._json("POST", at("dead-letters", letter, "replay"), {}, body)

    def replay_many(self, body: Json) -> Json:
        return self._json("POST", "/v1/dead-letters/replay", {}, body)

    def drop(self, letter: str) -> Json:
        return self._json("DELETE", at("dead-letters", letter), {})

    def events(self, job: str) -> list[Json]:
        return list(self.get(at("jobs", job, "events"))["events"])

    def story(
        self,
        job: str,
        *,
        after: str = "",
        silence: float = STREAM_SILENCE,
        opened: Callable[[], None] = lambda: None,
    ) -> Iterator[StreamEvent]:
        """What happens to the job after the event with this id, until the router ends the stream.

        `opened` is called when it begins, which may be long before the first event.

        Raises:
            ConnectionLostError: The stream broke, or nothing came for so many seconds; the job goes
                on.
        """
        return self._stream(at("jobs", job, "events"), after, silence, opened)

    def output(self, job: str, after: str) -> Json:
        """A page of what its tool said after this cursor."""
        return self._json("GET", at("jobs", job, "output"), {"from": after})

    def output_story(
        self, job: str, *, after: str, opened: Callable[[], None]
    ) -> Iterator[StreamEvent]:
        """What its tool says after this cursor, as `story`."""
        return self._stream(at("jobs", job, "output"), after, STREAM_SILENCE, opened)

    def _stream(
        self, path: str, after: str, silence: float, opened: Callable[[], None]
    ) -> Iterator[StreamEvent]:
        headers = {"accept": "text/event-stream"} | ({"last-event-id": after} if after else {})
        with (
            self._errors(),
            self._http.stream("GET", path, headers=headers, timeout=silence) as response,
        ):
            if not response.is_success:
                response.read()
                raise self._refusal(response)
            opened()
            for event in read_events(response.iter_bytes()):
                if event.name == "problem":
                    raise ConnectionLostError(event.data["title"])
                yield event

    def _json(
        self,
        method: str,
        path: str,
        query: dict[str, str | float | None],
        body: Json | None = None,
        headers: dict[str, str] | None = None,
    ) -> Json:
        return self._answer(self._send(method, path, query, body, headers))

    def _answer(self, response: httpx2.Response) -> Json:
        if not response.is_success:
            raise self._refusal(response)
        try:
            return dict(response.json())
        except ValueError as error:
            raise UsageError(_said(response)) from error

    def _send(
        self,
        method: str,
        path: str,
        query: dict[str, str | float | None],
        body: Json | None = None,
        headers: dict[str, str] | None = None,
        patience: float = SPARE,
    ) -> httpx2.Response:
        given = {name: value for name, value in query.items() if value is not None}
        timeout = patience + float(given.get("wait", 0))
        with self._errors():
            response = self._http.request(
                method, path, params=given, json=body, headers=headers, timeout=timeout
            )
        if not response.is_success:
            raise self._refusal(response)
        return response

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except httpx2.ConnectError as error:
            raise UnreachableError(
                f"nothing answers at {self.url}; start a router with `longhaul up`, "
                "or name one with LONGHAUL_URL"
            ) from error
        except (httpx2.InvalidURL, httpx2.UnsupportedProtocol) as error:
            raise UsageError(f"LONGHAUL_URL is not an address: {error}") from error
        except httpx2.TransportError as error:
            words = str(error) or type(error).__name__
            raise ConnectionLostError(f"{self.url} does not answer: {words}") from error

    def _refusal(self, response: httpx2.Response) -> CommandError:
        said = _said(response)
        match response.status_code:
            case 401 if self._target.key:
                words = "needs an API key, and does not take this one"
                return UsageError(f"{self.url} {words}: {said} See LONGHAUL_API_KEY")
            case 401:
                return UsageError(f"{self.url} needs an API key; set LONGHAUL_API_KEY")
            case 404:
                return NotThereError(said)
            case 429 | 502 | 503 | 504:
                after = response.headers.get("retry-after")
                hint = f"; try again in {after} s" if after else ""
                return UnreachableError(f"{said}{hint}")
            case _:
                return UsageError(said)


def at(collection: str, name: str, *more: str) -> str:
    """The path of one of them, or of something of it.

    Raises:
        UsageError: No name; the path would be that of all of them.
    """
    if not name:
        raise UsageError(f"an empty name is none of {collection}")
    return "/".join(("/v1", collection, quote(name, safe=""), *more))


def _said(response: httpx2.Response) -> str:
    """The problem in its own words; something that is no Longhaul answers in others."""
    try:
        problem = response.json()
        return str(problem.get("detail") or problem["title"])
    except (ValueError, KeyError, AttributeError):
        address = response.url.copy_with(query=None)
        return f"{address} answered {response.status_code}; is it a Longhaul router?"
