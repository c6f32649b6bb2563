"""How a value does not fit a JSON Schema, in words without the value: it may be a secret, or long.

JSON Schema 2020-12 unless the schema says otherwise; nothing that it refers to is fetched.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import jsonschema_rs

LONGEST = 300  # characters of one misfit: names are the sender's, too


def compile_schema(schema: Mapping[str, Any]) -> Any:
    """For `misfits`. Raises: ValueError: The schema is unusable."""
    try:
        return jsonschema_rs.validator_for(dict(schema), retriever=_fetch_nothing, mask="it")
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError) as error:
        raise ValueError(str(error)) from error


def misfits(validator: Any, value: Mapping[str, Any], whole: str) -> Iterator[str]:
    """Path and rule of each; `whole` is the path of the value itself."""
    for error in validator.iter_errors(value):
        path = "/".join(str(step) for step in error.instance_path) or whole
        rule = "/".join(str(step) for step in error.schema_path)
        words = f"at {path}: {error.message} (rule {rule})"
        yield words if len(words) <= LONGEST else f"{words[: LONGEST - 1]}…"


def _fetch_nothing(uri: str) -> Any:
    raise ValueError(f"{uri} is not fetched")
