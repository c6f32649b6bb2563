"""The `ApiKeyStore` port: the keys that operators made, for every ingress alike.

Contract, held by `tests/contract/test_store_api_keys.py` on every implementation:

* No two keys have the same name. Creating and revoking are durable when they answer.
* Each change gives the table another revision, and is told on the channel `NEWS` as `KEYS_CHANGED`.
* A change that is repeated because its answer was lost answers as it did.

Every method raises `StoreUnreachableError` when the store does not answer in time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from common.api_keys import StoredKey


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyTable:
    """All keys, by name, also those that have expired."""

    revision: str
    keys: Sequence[StoredKey]


class ApiKeyStore(Protocol):
    async def create(self, key: StoredKey, *, life_ms: int = 0) -> bool:
        """Store it, to expire after so long (0: never); False when the name is taken."""
        ...

    async def revoke(self, name: str) -> bool:
        """False when there was no such key."""
        ...

    async def read(self, known: str | None = None) -> KeyTable | None:
        """The table; None when its revision is the known one."""
        ...
