"""What is an idempotency key, and what the store keeps of one."""

import pytest

from common.jobs.idempotency import is_key, unique_key


@pytest.mark.parametrize("key", ["1", "k" * 255, "0191f7c0-6d1e-7bb2", '"quoted"', "a:b/c%20"])
def test_visible_characters_are_a_key(key: str) -> None:
    assert is_key(key)


@pytest.mark.parametrize("key", ["", "k" * 256, "two words", "tab\t", "line\n", "é", "\x7f"])
def test_nothing_else_is(key: str) -> None:
    assert not is_key(key)


def test_callers_and_keys_are_kept_apart() -> None:
    pairs = [("ann", "k"), ("bob", "k"), ("ann", "K"), ("ann:k", ""), ("", "ann:k"), ("a", 'n","k')]
    assert len({unique_key(caller, key) for caller, key in pairs}) == len(pairs)
    assert unique_key("ann", "k") == unique_key("ann", "k")
    assert "secret" not in unique_key("ann", "secret")
