"""Logs: one line per event on standard error, from our own code and from the libraries alike.

On a terminal they are for reading, elsewhere JSON. `request_id` and `job_id` are bound with
`structlog.contextvars` where a request or a run begins, and so stand on every line beneath it.
"""

import logging
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any, TextIO

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from common.config.colours import colours_wanted
from common.config.model import Settings

# What these say of an ordinary day is our own business to log, and of a bad one it is theirs;
# below a warning the SDK and the HTTP client write out whole messages and addresses.
_QUIET = ("mcp", "httpx2", "httpcore2", "aio_pika", "aiormq", "asyncio", "redis", "sse_starlette")
_SILENT = ("uvicorn.access",)
_PASSWORD = re.compile(r"(://[^\s:@/]*):[^\s@/]+@")


def configure_logging(settings: Settings, stream: TextIO | None = None) -> None:
    """Send all logs to `stream` (standard error) from now on; once per process."""
    stream = stream or sys.stderr
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    render = _renderers(settings, stream)
    structlog.configure(
        processors=[*_shared(), *render],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=_always(structlog.PrintLogger(stream)),
        cache_logger_on_first_use=False,  # a reload may change the level
    )
    _route_libraries(stream, level, render)


def _always(logger: structlog.PrintLogger) -> Callable[..., structlog.PrintLogger]:
    """For every message, also one below the level, a logger is asked for: one is enough."""
    return lambda *_: logger


def _as_json(settings: Settings, stream: TextIO) -> bool:
    return settings.log_format == "json" or (settings.log_format == "auto" and not stream.isatty())


def _shared() -> Sequence[Processor]:
    return (
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        hide_passwords,
    )


def _renderers(settings: Settings, stream: TextIO) -> Sequence[Processor]:
    # Plain traces: the richer kinds write out local variables, and with them keys and arguments.
    if _as_json(settings, stream):
        render = structlog.processors.JSONRenderer(serializer=_dump)
        return structlog.processors.format_exc_info, render
    return (
        structlog.dev.ConsoleRenderer(
            colors=stream.isatty() and colours_wanted(),
            exception_formatter=structlog.dev.plain_traceback,
        ),
    )


def _dump(event: EventDict, **_: Any) -> str:
    first = {name: event.pop(name, None) for name in ("timestamp", "level", "event")}
    return orjson.dumps({**first, **event}, default=str).decode()


def _route_libraries(stream: TextIO, level: int, render: Sequence[Processor]) -> None:
    """Records of the standard library's loggers take the same form and the same way out."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*_shared(), structlog.stdlib.add_logger_name],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *render,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
    for name in ("uvicorn", "uvicorn.error", *_SILENT):
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = name not in _SILENT
    logging.captureWarnings(capture=True)


def hide_passwords(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """An address in a library's message may carry its password; ours are masked already."""
    for name, value in event.items():
        if isinstance(value, str) and "@" in value:
            event[name] = _PASSWORD.sub(r"\1:***@", value)
    return event
