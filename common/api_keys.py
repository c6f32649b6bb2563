"""API keys that the store keeps, and what the role of a key allows.

A key is 256 random bits, so the store holds its plain SHA-256: there are too many keys to try them
all, which is what a slow hash with a salt is against for passwords, and each request is checked.
"""

import secrets
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256

PREFIX = "lh_"  # of every key made here: a scanner of leaked secrets can know them
SHOWN = len(PREFIX) + 6  # characters that a listing shows; 220 bits stay unknown
NAME_PATTERN = r"[A-Za-z0-9_.@-]{1,64}"


class Role(StrEnum):
    """What a key allows; each allows what those before it do."""

    USER = "user"  # its own jobs
    OPERATOR = "operator"  # everybody's jobs, dead letters, queues and backends
    ADMIN = "admin"  # keys

    def allows(self, needed: "Role") -> bool:
        return _RANK[self] >= _RANK[needed]


_RANK = {role: rank for rank, role in enumerate(Role)}


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredKey:
    """What is kept of a key; the key itself is not."""

    name: str  # no two keys have the same
    caller: str  # whose jobs it sees; several keys may have the same
    role: Role
    digest: str  # SHA-256 of the key, hex
    shown: str  # its first characters, by which its owner knows it
    created_at: int = 0  # ms, the store's time and the store's own to set
    expires_at: int = 0  # ms; 0: never


def new_key() -> str:
    return PREFIX + secrets.token_urlsafe(32)


def digest_of(key: str) -> str:
    # What HTTP libraries make of bytes that are no text must not end in an error here.
    return sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
