"""Writes the tables of configure.md from the configuration model: python -m docs.generate_settings.

The words stand here, everything else comes from the model. `tests/unit/test_docs.py` fails when a
setting has no words, words have no setting, or the page is stale.
"""

import re
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from common.config.document import Document
from docs.settings_words import SECTIONS, WORDS

PAGE = Path(__file__).with_name("configure.md")
_MARKED = re.compile(r"(<!-- settings: (?P<name>[^ ]+) -->\n).*?(<!-- end -->)", re.DOTALL)
_FREE = {"mcpServers": "NAME", "queues": "NAME", "tools": "PATTERN", "clients": "PATTERN"}


def settings(model: type[BaseModel] = Document, path: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Every single setting with its dotted name; NAME and PATTERN stand for the reader's own."""
    for name, field in model.model_fields.items():
        key = field.alias or name
        below = _section(field.annotation)
        if below is None:
            yield path + key, field
        else:
            own = f"{_FREE[key]}." if key in _FREE else ""
            yield from settings(below, f"{path}{key}.{own}")


def fresh(page: str) -> str:
    """The page with every marked table made anew."""
    return _MARKED.sub(lambda found: found[1] + table(found["name"]) + found[3], page)


def table(section: str) -> str:
    """One section's table: what may be written, what holds otherwise, and what it does."""
    rows = ["| setting | values | default | |", "|---|---|---|---|"]
    for name, field in settings():
        if _home(name) == section and not _said_before(name):
            short = name.removeprefix(SECTIONS[section])
            values = _values(field).replace("|", "\\|")
            rows.append(f"| `{short}` | {values} | {_default(field)} | {WORDS[name]} |")
    return "\n".join(rows) + "\n"


def _said_before(name: str) -> bool:
    """A backend's own word for what `defaults` says for all."""
    own = name.removeprefix("mcpServers.NAME.")
    return own != name and f"defaults.{own}" in WORDS


def _home(name: str) -> str:
    """The section whose prefix is the longest that fits."""
    fitting = [section for section, prefix in SECTIONS.items() if name.startswith(prefix)]
    return max(fitting, key=lambda section: len(SECTIONS[section]))


def _section(annotation: Any) -> type[BaseModel] | None:
    """The model below a field; a list or a mapping of plain values is a single setting."""
    for option in _options(annotation):
        if get_origin(option) is dict:
            return _section(get_args(option)[1])
        if isinstance(option, type) and issubclass(option, BaseModel):
            return option
    return None


def _options(annotation: Any) -> Iterator[Any]:
    if get_origin(annotation) is Annotated:
        yield from _options(get_args(annotation)[0])
    elif get_origin(annotation) in {Union, types.UnionType}:
        for option in get_args(annotation):
            yield from _options(option)
    else:
        yield annotation


def _values(field: FieldInfo) -> str:
    found: list[str] = []
    for option in _options(field.annotation):
        if get_origin(option) is Literal:
            found += [f"`{value}`" for value in get_args(option)]
        elif option is float:
            found.append("0 to 1" if _is_share(field) else "duration")
        elif option is not type(None):
            found.append(_KINDS[get_origin(option) or option])
    return ", ".join(dict.fromkeys(found)) + _bounds(field)


_KINDS: dict[Any, str] = {
    bool: "`true`, `false`",
    int: "number",
    str: "text",
    tuple: "list",
    dict: "keys and values",
}


def _is_share(field: FieldInfo) -> bool:
    return any(getattr(each, "le", None) == 1 for each in field.metadata)


def _bounds(field: FieldInfo) -> str:
    if int not in _options(field.annotation):
        return ""
    least = next((each.ge for each in field.metadata if hasattr(each, "ge")), None)
    most = next((each.le for each in field.metadata if hasattr(each, "le")), None)
    if most is not None:
        return f" {least} to {most}"
    return "" if least is None else f" from {least}"


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if value is None or value in ("", (), {}) or field.is_required():
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, float) and not _is_share(field):
        return f"`{_duration(value)}`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def _duration(seconds: float) -> str:
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= 2 * size and seconds % size == 0:
            return f"{seconds / size:g}{unit}"
    return f"{seconds:g}s"


if __name__ == "__main__":
    PAGE.write_text(fresh(PAGE.read_text()))
