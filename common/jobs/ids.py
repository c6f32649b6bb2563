"""Job ids: a shard, then time, then chance, in an alphabet that survives being read aloud."""

import re
import secrets

SHARDS = 1
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_LENGTH = 22
_TIME_SHIFTS = range(40, -1, -5)  # 9 characters of 5 bits
_CHANCE = 12  # characters
_CHARACTERS = bytes(ord(_ALPHABET[byte % 32]) for byte in range(256))  # by a random byte
_ROW = re.compile(rf"[{_ALPHABET}]{{{_LENGTH}}}\.[1-9][0-9]{{0,6}}", re.ASCII)


def new_job_id(now_ms: int) -> str:
    """A new id: the shard's digit, 9 characters of time (ms), 12 random ones (60 bits).

    Ids sort by the time of their creation; the first character names the shard whose keys hold the
    record.
    """
    time = "".join([_ALPHABET[now_ms >> shift & 31] for shift in _TIME_SHIFTS])
    shard, *chance = secrets.token_bytes(1 + _CHANCE)
    return _ALPHABET[shard % SHARDS] + time + bytes(chance).translate(_CHARACTERS).decode()


def shard_of(job_id: str) -> str:
    return job_id[0]


def is_job_id(text: str) -> bool:
    """A job's, a row's, or that of a batch, which is one of a record, too."""
    return is_batch_id(text) or _ROW.fullmatch(text) is not None


def is_batch_id(text: str) -> bool:
    return len(text) == _LENGTH and all(character in _ALPHABET for character in text)


def row_id(batch: str, row: int) -> str:
    """The job of a row of a batch, counted from 1: the same whoever makes it, and how often."""
    return f"{batch}.{row}"


def row_of(job_id: str) -> int:
    """0 for what is no row."""
    return int(job_id.partition(".")[2] or 0)
