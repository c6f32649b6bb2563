"""Logs: one line per event, ours and the libraries', with the ids that were bound and no secret."""

import io
import json
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from typing_extensions import override

from common.config.model import Settings
from common.telemetry.logging import configure_logging


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """What is logged goes here, until the test has ended."""
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    uvicorn = logging.getLogger("uvicorn")
    yield io.StringIO()
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    logging.captureWarnings(capture=False)
    root.handlers[:], root.level = before
    uvicorn.propagate = True


class Screen(io.StringIO):
    @override
    def isatty(self) -> bool:
        return True


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_an_event_is_one_line_of_json(stream: io.StringIO) -> None:
    configure_logging(Settings(), stream)
    with structlog.contextvars.bound_contextvars(request_id="r1", job_id="j1"):
        structlog.get_logger("x").info("job.settled", attempt=2)
    (line,) = lines(stream)
    assert list(line)[:3] == ["timestamp", "level", "event"]
    assert line["timestamp"].endswith("Z")
    assert (line["event"], line["level"], line["attempt"]) == ("job.settled", "info", 2)
    assert (line["request_id"], line["job_id"]) == ("r1", "j1")


@pytest.mark.usefixtures("stream")
@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_a_terminal_gets_colours_unless_it_wants_none(
    no_color: str, coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", no_color)
    screen = Screen()
    configure_logging(Settings(), screen)
    structlog.get_logger("x").info("job.settled", attempt=2)
    assert ("\x1b[" in screen.getvalue()) is coloured


def test_libraries_take_the_same_way(stream: io.StringIO) -> None:
    configure_logging(Settings(), stream)
    with structlog.contextvars.bound_contextvars(request_id="r1"):
        logging.getLogger("uvicorn.error").info("started on %s", 8080)
        logging.getLogger("aio_pika.channel").warning("closed")
    first, second = lines(stream)
    assert (first["event"], first["logger"], first["request_id"]) == (
        "started on 8080",
        "uvicorn.error",
        "r1",
    )
    assert second["logger"] == "aio_pika.channel"


def test_what_libraries_say_of_an_ordinary_day_is_left_out(stream: io.StringIO) -> None:
    configure_logging(Settings(log_level="debug"), stream)
    for name in ("mcp.server", "httpx2", "aiormq.connection", "uvicorn.access"):
        logging.getLogger(name).info("a whole message with its arguments")
    assert lines(stream) == []


def test_the_level_holds_for_both(stream: io.StringIO) -> None:
    configure_logging(Settings(log_level="error"), stream)
    structlog.get_logger("x").warning("not.shown")
    logging.getLogger("y").warning("not shown")
    structlog.get_logger("x").error("shown")
    assert [line["event"] for line in lines(stream)] == ["shown"]


def test_no_password_of_an_address_is_written(stream: io.StringIO) -> None:
    configure_logging(Settings(), stream)
    structlog.get_logger("x").warning("broker.lost", error="amqp://me:secret@host/ refused")
    logging.getLogger("y").warning("cannot reach redis://:secret@host")
    assert "secret" not in stream.getvalue()
    assert "amqp://me:***@host/" in stream.getvalue()


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_trace_is_kept_without_the_values_of_variables(stream: io.StringIO, form: str) -> None:
    configure_logging(Settings.model_validate({"log_format": form}), stream)
    key = "-".join(reversed("SECRET"))
    try:
        [].pop(len(key))
    except IndexError:
        structlog.get_logger("x").exception("run.failed")
        logging.getLogger("y").exception("failed")
    assert stream.getvalue().count("pop from empty list") == 2
    assert key not in stream.getvalue()


def test_on_a_terminal_it_is_for_reading(stream: io.StringIO) -> None:
    configure_logging(Settings(log_format="console"), stream)
    structlog.get_logger("x").info("job.settled", attempt=2)
    logging.getLogger("y").warning("from a library")
    text = stream.getvalue()
    assert "job.settled" in text
    assert "from a library" in text
    assert "{" not in text


def test_warnings_are_logged(stream: io.StringIO) -> None:
    configure_logging(Settings(), stream)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        warnings.warn("old", DeprecationWarning, stacklevel=1)
        logging.captureWarnings(capture=False)
    assert "DeprecationWarning" in stream.getvalue()
