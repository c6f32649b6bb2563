"""Moments in a query or a body of the REST interface: a time, or how long ago."""

from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema

from common.config.moment import SAID, Moment, ms_of, parse_moment

When = Annotated[
    Moment,
    BeforeValidator(parse_moment),
    WithJsonSchema({"type": "string", "description": SAID}),
]


def ms_or_none(when: Moment | None, now: float) -> int | None:
    """In milliseconds since the epoch; `now` in seconds."""
    return None if when is None else ms_of(when, now)
