"""The call of three minutes: it goes on beside all other tests, and is looked at after them."""

from typing import Any

from tests.interop.clients import driven
from tests.interop.driven import handed_off
from tests.interop.world import World

LONG = "stdio__trigger-long-running-operation"
SECONDS = 180
WAITING = ("typescript-legacy", "typescript-auto")
Answers = list[dict[str, Any]]


def follow(name: str, world: World) -> Answers:
    """One answer after the other: the client does what a hand-off says until there is none."""
    with driven(name, world) as client:
        answers = [client.result(LONG, duration=SECONDS, steps=SECONDS)]
        while ids := handed_off(answers[-1]):
            answers.append(client.result("longhaul_wait", ids=ids))
    return answers
