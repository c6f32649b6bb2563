"""What the configuration says of callbacks: secrets, and targets beyond the public net."""

import base64
import binascii
import re
from ipaddress import ip_network
from typing import Annotated

from pydantic import AfterValidator

_PREFIX = "whsec_"
_LEAST, _MOST = 24, 64  # bytes of a secret, as Standard Webhooks has it
_FORM = f"should be {_PREFIX} and the Base64 of {_LEAST} to {_MOST} random bytes"
_NAME = re.compile(r"(\*\.)?[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?")


def _secrets(values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        try:
            size = len(base64.b64decode(value.removeprefix(_PREFIX), validate=True))
        except binascii.Error:
            raise ValueError(_FORM) from None  # never the secret itself
        if not (value.startswith(_PREFIX) and _LEAST <= size <= _MOST):
            raise ValueError(_FORM)
    return values


def _targets(values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        try:
            ip_network(value)
        except ValueError:
            if not _NAME.fullmatch(value) or value.rpartition(".")[2].isdigit():
                words = "should be a network (10.0.0.0/8), an address, a host or *.domain"
                raise ValueError(f"{value} {words}") from None
    return values


Secrets = Annotated[tuple[str, ...], AfterValidator(_secrets)]
Targets = Annotated[tuple[str, ...], AfterValidator(_targets)]
