"""Documents: what people put into the blob store themselves, and who may see one. Pure.

Whoever puts a document has an entry of their own. Entries of the same bytes share one content,
which goes with the last of them. Who knows a hash knows nothing else: each way to a document goes
through `seen_by`.
"""

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

MEDIA_TYPE = "application/octet-stream"  # of what nobody said more about
LONGEST_NAME = 255
TEMPLATE = "longhaul://blob/{sha256}{?offset,length}"
_URI = re.compile(
    r"longhaul://blob/(?P<sha256>[0-9a-f]{64})"
    r"(\?offset=(?P<offset>[0-9]{1,15})(&length=(?P<length>[0-9]{1,15}))?)?",
    re.ASCII,
)
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_PLACE = re.compile(r"document-[0-9a-f]{32}", re.ASCII)
_MEDIA_TYPE = re.compile(r"[\w.+!#$&^-]{1,127}/[\w.+!#$&^-]{1,127}(;[\x20-\x7e]{0,200})?", re.ASCII)


class Visibility(StrEnum):
    OWN = "own"  # its owner, and operators over REST
    EVERYONE = "everyone"  # every caller


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One owner's entry. An owner has at most one for the same bytes."""

    sha256: str
    size: int  # bytes
    owner: str  # a caller
    name: str = ""  # for people; empty: it has none
    media_type: str = MEDIA_TYPE
    visibility: Visibility = Visibility.OWN
    created_at: int = 0  # ms, the store's time and the store's own to set
    expires_at: int = 0  # ms; 0: never

    @property
    def position(self) -> tuple[int, str, str]:
        """Where it stands in every list, the newest first."""
        return self.created_at, self.sha256, self.owner


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentLink:
    """The address of a document as an MCP resource, whole or a range of it."""

    sha256: str
    offset: int = 0  # bytes
    length: int | None = None  # None: to the end


def document_uri(sha256: str) -> str:
    return f"longhaul://blob/{sha256}"


def read_document_link(uri: str) -> DocumentLink | None:
    """None for what is no such address."""
    found = _URI.fullmatch(uri)
    if found is None:
        return None
    length = None if found["length"] is None else int(found["length"])
    return DocumentLink(sha256=found["sha256"], offset=int(found["offset"] or 0), length=length)


def seen_by(reader: str | None, entries: Sequence[Document], now: int) -> Document | None:
    """The entry that stands for a content: the reader's own, else the oldest that it may see.

    None as the reader sees everybody's. `now` in ms.
    """
    living = [each for each in entries if not is_over(each, now)]
    visible = [each for each in living if reader is None or may_see(reader, each)]
    return min(visible, key=lambda each: (each.owner != reader, each.position), default=None)


def may_see(reader: str, document: Document) -> bool:
    return document.visibility is Visibility.EVERYONE or document.owner == reader


def is_over(document: Document, now: int) -> bool:
    return bool(document.expires_at) and now >= document.expires_at


def new_place() -> str:
    """Where a content is put: never used twice, so that deleting one never harms another."""
    return f"document-{secrets.token_hex(16)}"


def is_place(text: str) -> bool:
    return _PLACE.fullmatch(text) is not None


def is_sha256(text: str) -> bool:
    return _SHA256.fullmatch(text) is not None


def is_media_type(text: str) -> bool:
    return _MEDIA_TYPE.fullmatch(text) is not None


def is_name(text: str) -> bool:
    return len(text) <= LONGEST_NAME and text.isprintable()
