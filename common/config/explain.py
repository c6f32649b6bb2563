"""The merged configuration in rows for people: setting, value, source. Shows no secret. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from common.config.load import Loaded
from common.config.model import ApiKey
from common.config.provenance import Path, leaves
from common.config.urls import MASK, mask_url

_SECRET_NAME = re.compile(r"token|secret|passw|key|auth|credential", re.IGNORECASE)
_OPTION = re.compile(r"(-{1,2}[\w-]+)=(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    setting: str  # dotted, as in a file
    value: str
    source: str  # `longhaul.yaml:12`, `environment LONGHAUL_...`, `command line`, `default`


def explain(loaded: Loaded) -> tuple[Row, ...]:
    """Every setting that applies; `loaded.provenance` says which of them somebody chose."""
    return tuple(
        Row(
            setting=".".join(path),
            value=_shown(path, value, loaded.written),
            source=loaded.provenance[".".join(path)],
        )
        for path, value in leaves(loaded.settings)
    )


def _shown(path: Path, value: object, written: Mapping[str, str]) -> str:
    dotted = ".".join(path)
    if path == ("secret_key",):
        return MASK if value else ""
    if path == ("callbacks", "secrets") and isinstance(value, tuple):
        return _list([MASK] * len(value))
    if path[0] == "mcpServers" and path[2:3] in {("env",), ("headers",)} and len(path) > 3:
        return MASK
    if path[-1] == "args" and isinstance(value, tuple):
        return _list(_arguments(dotted, value, written))
    if path[-1] == "urls" and isinstance(value, tuple):
        single = written.get(dotted.removesuffix("urls") + "url")
        given = (single or written.get(f"{dotted}.{i}", url) for i, url in enumerate(value))
        return _list([mask_url(url) for url in given])
    if isinstance(value, tuple):
        return _list([_item(item) for item in value])
    if isinstance(value, float) and not path[-1].endswith("share"):
        return f"{value:.12g}s"  # every other number with a fraction is a duration
    return _item(value)


def _arguments(dotted: str, value: tuple[str, ...], written: Mapping[str, str]) -> list[str]:
    """Arguments as written, so that a variable stays a reference, and without literal secrets."""
    shown: list[str] = []
    hide_next = False
    for index, expanded in enumerate(value):
        text = written.get(f"{dotted}.{index}", expanded)
        option = _OPTION.fullmatch(text)
        if "${" in text:
            shown.append(text)
        elif hide_next and not text.startswith("-"):
            shown.append(MASK)
        elif option and _SECRET_NAME.search(option[1]):
            shown.append(f"{option[1]}={MASK}")
        else:
            shown.append(mask_url(text))
        hide_next = not option and text.startswith("-") and bool(_SECRET_NAME.search(text))
    return shown


def _item(value: object) -> str:
    match value:
        case ApiKey(caller=caller):
            return f"{caller}={MASK}"
        case None:
            return "-"
        case bool():
            return str(value).lower()
        case float():
            return f"{value:.12g}"
        case str():
            return mask_url(value)
        case _:
            return str(value)


def _list(items: list[str]) -> str:
    return f"[{', '.join(items)}]"
