"""Addresses of brokers, stores and backends: which kind, and how to show one."""

import re
from pathlib import Path

MASK = "***"
_SQLITE = "sqlite:///"
# Greedy up to the last @ before the path: a password may hold an @ that nobody encoded.
_PASSWORD = re.compile(r"(?P<head>[a-zA-Z][a-zA-Z0-9+.-]*://[^\s:@/?#]*):[^\s/?#]*@")
_TOKEN = re.compile(r"(?P<head>https?://)[^\s:@/?#]+@")  # a name alone is a token on the web
_QUERY = re.compile(r"(?P<head>[?&][^=&#\s]+=)[^&#\s]*")


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


def blob_folder(url: str) -> Path:
    """The folder of a `file:///` address.

    Raises:
        ValueError: Not such an address, or one of another machine.
    """
    path = url.removeprefix("file://")
    if path == url or not path.startswith("/"):
        raise ValueError("a folder for blobs is file:/// and its whole path")
    return Path(path)


def mask_url(url: str) -> str:
    """The text with what is secret in an address masked: password, lone token, query values."""
    shown = _TOKEN.sub(rf"\g<head>{MASK}@", _PASSWORD.sub(rf"\g<head>:{MASK}@", url))
    return _QUERY.sub(rf"\g<head>{MASK}", shown) if "://" in shown else shown
