"""Output: what a call says while it runs, as the store keeps it beside the record. Pure.

It is capped: the oldest entries are dropped. Entries are numbered from 1 without a gap, over all
tries, so that whoever reads on from a number sees how many it missed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from common.wire import dump_json, load_json

OUTPUT_ENTRIES = 2_000  # kept of one job
OUTPUT_BYTES = 262_144  # kept of one job, as they are stored
ENTRY_CHARS = 4_096  # of one entry's text; a longer text is several, a longer message is cut
CUT = " […]"

Kind = Literal["text", "log", "progress"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Appended:
    """What one note appends. Notes of a claim come one after the other, so that a repeated one is
    known by its mark.
    """

    mark: str
    entries: tuple[bytes, ...]
    skipped: int = 0  # said before these and already dropped, as is everything before them


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputEntry:
    number: int
    at: int  # ms
    tried: int  # the number of the try that said it
    kind: Kind
    text: str
    level: str = ""  # of a log line
    logger: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputRead:
    entries: Sequence[OutputEntry]  # the oldest first
    last: int  # the number of the newest that ever was; 0: nothing was said yet


def encode_text(text: str) -> list[bytes]:
    """A chunk of text, in as many entries as it needs: one after the other they are the text."""
    pieces = (text[at : at + ENTRY_CHARS] for at in range(0, len(text), ENTRY_CHARS))
    return [dump_json(["text", piece, "", ""]) for piece in pieces]


def encode_message(
    kind: Literal["log", "progress"], text: str, level: str = "", logger: str = ""
) -> bytes:
    shown = text if len(text) <= ENTRY_CHARS else text[:ENTRY_CHARS] + CUT
    return dump_json([kind, shown, level[:ENTRY_CHARS], logger[:ENTRY_CHARS]])


def decode_entry(row: bytes) -> OutputEntry:
    """A row as the stores write it: [number, ms, try, entry]."""
    number, at, tried, (kind, text, level, logger) = load_json(row)
    return OutputEntry(
        number=number, at=at, tried=tried, kind=kind, text=text, level=level, logger=logger
    )
