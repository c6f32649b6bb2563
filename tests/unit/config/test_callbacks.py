"""Secrets and targets of callbacks, as people write them."""

import base64

import pytest
from pydantic import ValidationError

from common.config.model import Callbacks

GOOD = "whsec_" + base64.b64encode(b"x" * 32).decode()


def test_secrets_are_a_list_the_newest_first() -> None:
    other = "whsec_" + base64.b64encode(b"y" * 24).decode()
    assert Callbacks.model_validate({"secrets": f"{GOOD}, {other}"}).secrets == (GOOD, other)


@pytest.mark.parametrize("secret", ["hunter2", GOOD[6:], "whsec_", "whsec_c2hvcnQ=", "whsec_!!"])
def test_what_is_no_secret_is_refused_and_not_repeated(secret: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Callbacks.model_validate({"secrets": secret})
    (error,) = refused.value.errors(include_input=False)
    assert secret not in error["msg"].replace("whsec_ and", "")


@pytest.mark.parametrize("target", ["10.0.0.0/8", "10.0.0.1", "::1", "hooks", "*.internal", "a.b"])
def test_targets(target: str) -> None:
    assert Callbacks.model_validate({"allow": [target]}).allow == (target,)


@pytest.mark.parametrize("target", ["10.0.0.1/8", "*", "a/b", "https://a", "10.0.0", "a*.b"])
def test_no_targets(target: str) -> None:
    with pytest.raises(ValidationError):
        Callbacks.model_validate({"allow": [target]})
