"""What a test asks about the questions of a job, and how it answers them."""

from typing import Any

from common.jobs.head import Head
from common.jobs.questions import Round
from ingress.caller import Caller
from tests.support.system import CALLER, System
from tests.support.waiting import until_answered

ME = Caller(name=CALLER)
ALL: dict[str, Any] = {"elicitation": {"form": {}, "url": {}}, "sampling": {}, "roots": {}}
ADA = {"action": "accept", "content": {"name": "Ada"}}
STORY = {"role": "assistant", "content": {"type": "text", "text": "once"}, "model": "m"}
NO = {"action": "decline"}


async def asked(
    system: System, tool: str, capabilities: dict[str, Any] | None = None, **arguments: Any
) -> tuple[Head, Round]:
    """A job of the tool, and what it asks; its caller has declared everything, or this."""
    declared = ALL if capabilities is None else capabilities
    job = await system.submit_with(tool, arguments, client_capabilities=declared)
    return await open_round(system, job)


async def open_round(system: System, job: str, number: int = 1) -> tuple[Head, Round]:
    """The job with its round of this number, once it is asked."""

    async def look() -> tuple[Head, Round] | None:
        head = await system.head(job)
        assert not head.terminal, await system.result(job)
        found = await system.ingress.respond.open_round(head)
        return (head, found) if found is not None and found.number == number else None

    found = await until_answered(look, seconds=20)
    assert found is not None
    return found


async def answer(system: System, job: str, answers: dict[str, Any], **more: Any) -> Head:
    return await system.ingress.respond.answer(job, answers, ME, **more)


def only_key(questions: Round) -> str:
    (key,) = questions.requests
    return key


def text(result: Any) -> str:
    return str(result["content"][0]["text"])
