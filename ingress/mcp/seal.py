"""The `requestState` that a client of 2026-07-28 comes again with: sealed, and used once.

Authenticated encryption: what comes back is what went out, and says nothing to anybody else. All
replicas need the same key.
"""

import base64
import binascii
import os
from dataclasses import asdict, dataclass
from hashlib import sha256

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE = 12  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """The way back to a job; the record knows which return it is."""

    job: str
    call: str  # digest of caller, tool, version of the tool and arguments
    leg: int  # which return of the job this is: each is used once
    round: int = 0  # of the questions that went out with it; 0: none did
    rounds: int = 1  # how often this call was sent back so far
    expires_at: int  # ms


class SealError(Exception):
    """It is not one of ours."""


class Seal:
    def __init__(self, secret: str) -> None:
        """`secret` may have any length; without one, only this process can open what it sealed."""
        key = sha256(b"longhaul request state\0" + secret.encode()).digest()
        self._cipher = AESGCM(key if secret else os.urandom(32))

    def close(self, ticket: Ticket) -> str:
        nonce = os.urandom(_NONCE)
        sealed = self._cipher.encrypt(nonce, orjson.dumps(asdict(ticket)), None)
        return base64.urlsafe_b64encode(nonce + sealed).decode()

    def open(self, state: str) -> Ticket:
        """Raises: SealError."""
        try:
            raw = base64.b64decode(state.encode(), altchars=b"-_", validate=True)
            opened = self._cipher.decrypt(raw[:_NONCE], raw[_NONCE:], None)
            return Ticket(**orjson.loads(opened))
        except (binascii.Error, UnicodeError, InvalidTag, ValueError, TypeError) as error:
            raise SealError(str(error)) from error
