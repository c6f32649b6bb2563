"""What a tool asks, in a sentence for a person: what, whom, and until when an answer is useful."""

from datetime import UTC, datetime

from common.jobs.head import Head
from common.jobs.questions import Request, Round, open_requests

SHOWN = 160  # characters of a question


def asked_words(head: Head, asked: Round | None) -> str:
    """Why the job waits. Pure."""
    if asked is None:
        return "the tool asked a question and waits for the answer"
    waiting = open_requests(asked, operator=True)
    if not waiting:
        return "its questions are answered; it is about to go on"
    key, request = next(iter(waiting.items()))
    whom = "an operator (its caller cannot be asked)" if key in asked.operator else "its caller"
    more = f", and {len(waiting) - 1} more" if len(waiting) > 1 else ""
    return f"the tool asks {whom}: {wording(request)} ({key}){more}; {_until(head)}"


def wording(request: Request) -> str:
    params = request.get("params") or {}
    match request["method"]:
        case "elicitation/create" if params.get("mode") == "url":
            return f"{_short(params.get('message'))} - to be done at {params.get('url')}"
        case "elicitation/create":
            return _short(params.get("message"))
        case "sampling/createMessage":
            return "something of the caller's model"
        case _:
            return "which folders it may use"


def _short(message: object) -> str:
    text = " ".join(str(message or "").split())
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"


def _until(head: Head) -> str:
    until = datetime.fromtimestamp(head.answer_by / 1000, UTC)
    return f"an answer is of use until {until:%Y-%m-%d %H:%M:%S} UTC"
