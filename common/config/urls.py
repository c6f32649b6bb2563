"""Addresses of brokers, stores and backends: which kind, and how to show one."""

import re
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

MASK = "***"
_SQLITE = "sqlite:///"
_USER_INFO = re.compile(r"(?P<head>[a-zA-Z][a-zA-Z0-9+.-]*://[^\s:@/]*):[^\s@]*@")


def scheme(url: str) -> str:
    """What stands before the first colon, in small letters; empty without one."""
    return url.partition(":")[0].lower() if ":" in url else ""


def sqlite_url(path: Path) -> str:
    return f"{_SQLITE}{path}"


def sqlite_path(url: str) -> Path:
    """The file of a `sqlite:///` address; a fourth slash begins an absolute path.

    Raises:
        ValueError: Not such an address, or one without a file.
    """
    path = url.removeprefix(_SQLITE)
    if path == url or not path:
        raise ValueError("an SQLite address is sqlite:/// and the path of a file")
    return Path(path)


def mask_url(url: str) -> str:
    """The address without its password and without the values of its query."""
    shown = _USER_INFO.sub(rf"\g<head>:{MASK}@", url)
    parts = urlsplit(shown)
    if not parts.query:
        return shown
    query = urlencode([(name, MASK) for name, _ in parse_qsl(parts.query)], safe="*")
    return urlunsplit(parts._replace(query=query))
