"""Arguments against a tool's input schema, before anything is stored."""

from collections.abc import Mapping
from itertools import islice
from typing import Any

import jsonschema_rs
import structlog

from common.catalogue import CatalogueTool
from common.errors import InvalidCallError

log = structlog.get_logger(__name__)

SHOWN = 5  # problems named in one answer
CACHED = 4_096  # compiled schemas


class ArgumentCheck:
    """Compiled schemas, kept by the version of the tool. JSON Schema 2020-12 unless it says."""

    def __init__(self) -> None:
        self._validators: dict[str, Any] = {}

    def __call__(self, tool: CatalogueTool, arguments: Mapping[str, Any] | None) -> None:
        """Raises: InvalidCallError: Names path and rule of each problem."""
        validator = self._validator(tool)
        given = arguments or {}
        if validator is None or validator.is_valid(given):
            return
        problems = [_words(e) for e in islice(validator.iter_errors(given), SHOWN)]
        raise InvalidCallError(f"Invalid arguments for {tool.name}: {'; '.join(problems)}")

    def _validator(self, tool: CatalogueTool) -> Any:
        if tool.version not in self._validators:
            if len(self._validators) >= CACHED:
                self._validators.clear()
            self._validators[tool.version] = _compile(tool)
        return self._validators[tool.version]


def _compile(tool: CatalogueTool) -> Any:
    """None when the backend's own schema is unusable: the backend judges the arguments then."""
    try:
        return jsonschema_rs.validator_for(dict(tool.input_schema), retriever=_fetch_nothing)
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as error:
        log.warning("tool.schema_unusable", tool=tool.name, error=str(error))
        return None


def _fetch_nothing(uri: str) -> Any:
    raise ValueError(f"{uri} is not fetched")


def _words(error: jsonschema_rs.ValidationError) -> str:
    path = "/".join(str(step) for step in error.instance_path) or "(arguments)"
    rule = "/".join(str(step) for step in error.schema_path)
    return f"at {path}: {error.message} (rule {rule})"
