"""Arguments against a tool's input schema, before anything is stored."""

from collections.abc import Mapping
from itertools import islice
from typing import Any

import structlog

from common.catalogue import CatalogueTool
from common.errors import InvalidCallError
from common.misfits import compile_schema, misfits

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
        problems = islice(misfits(validator, given, "(arguments)"), SHOWN)
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
        return compile_schema(tool.input_schema)
    except ValueError as error:
        log.warning("tool.schema_unusable", tool=tool.name, error=str(error))
        return None
