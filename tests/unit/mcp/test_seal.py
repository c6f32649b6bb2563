"""The sealed way back: only what went out comes in, for whoever has the same key."""

import base64

import pytest

from ingress.mcp.seal import Seal, SealError, Ticket

TICKET = Ticket(job="j", call="attach:x", leg=3, round=1, rounds=2, expires_at=10**13)


def test_what_was_sealed_is_opened_by_every_replica_with_the_key() -> None:
    state = Seal("secret").close(TICKET)
    assert Seal("secret").open(state) == TICKET
    assert "attach" not in state
    assert Seal("secret").close(TICKET) != state


def test_another_key_opens_nothing() -> None:
    state = Seal("secret").close(TICKET)
    for other in (Seal("Secret"), Seal("")):
        with pytest.raises(SealError):
            other.open(state)
    alone = Seal("")
    assert alone.open(alone.close(TICKET)) == TICKET


def test_no_bit_can_be_changed() -> None:
    seal = Seal("secret")
    raw = bytearray(base64.urlsafe_b64decode(seal.close(TICKET)))
    for place in range(len(raw)):
        forged = bytes(raw[:place]) + bytes([raw[place] ^ 1]) + bytes(raw[place + 1 :])
        with pytest.raises(SealError):
            seal.open(base64.urlsafe_b64encode(forged).decode())


@pytest.mark.parametrize("state", ["", "x", "é", "AAAA", "A" * 400, "{}", " "])
def test_anything_else_is_refused(state: str) -> None:
    with pytest.raises(SealError):
        Seal("secret").open(state)
