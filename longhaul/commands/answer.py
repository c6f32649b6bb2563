"""`jobs answer`: see what a job's tool asks, and answer it."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from longhaul.answers import answer_of, chosen
from longhaul.client import Client
from longhaul.commands.options import AsJson, JobId
from longhaul.commands.speaking import connect
from longhaul.exits import UsageError
from longhaul.screen.output import out, print_json, say
from longhaul.screen.questions import question_text

Key = Annotated[
    str | None, typer.Option(help="Which question, where there are several.", show_default=False)
]
Accept = Annotated[bool, typer.Option("--accept", help="Fill in the form, or agree.")]
Decline = Annotated[bool, typer.Option("--decline", help="Say no.")]
Dismiss = Annotated[bool, typer.Option("--cancel", help="Say neither yes nor no.")]
Fields = Annotated[
    list[str] | None,
    typer.Option(
        "--field",
        "-f",
        metavar="NAME=VALUE",
        help="A field of the form, typed by its schema; repeatable.",
        show_default=False,
    ),
]
Answer = Annotated[
    str | None,
    typer.Option(
        "--arguments",
        metavar="JSON",
        help="The whole answer, a result of the question's method; --json '{…}' is the same.",
        show_default=False,
    ),
]


def answer(
    job: JobId,
    key: Key = None,
    accept: Accept = False,
    decline: Decline = False,
    dismiss: Dismiss = False,
    fields: Fields = None,
    text: Answer = None,
    as_json: AsJson = False,
) -> None:
    """Show what a job's tool asks; with --accept, --decline, --cancel or --json, answer it."""
    action = _action(accept=accept or bool(fields), decline=decline, dismiss=dismiss, text=text)
    with connect() as router:
        found = router.job(job)
        questions = found["input_requests"] or []
        if not questions and action:
            raise UsageError(f"nothing is asked: job {job} is {found['state']}")
        if not action:
            _show(found, as_json=as_json)
            return
        question = chosen(questions, key)
        given = answer_of(question, action=action, fields=fields or (), text=text)
        after = _answer(router, job, question, found["answer_by"], given)
    if as_json:
        print_json(after)
    elif after["input_requests"]:
        keys = ", ".join(each["key"] for each in after["input_requests"])
        say(f"answered; job {job} still asks: {keys}")
    else:
        say(f"answered; job {job} goes on")


def _action(*, accept: bool, decline: bool, dismiss: bool, text: str | None) -> str:
    """Empty when the question is only to be shown."""
    wanted = [
        name
        for name, given in (("accept", accept), ("decline", decline), ("cancel", dismiss))
        if given
    ]
    if len(wanted) + (text is not None) > 1:
        raise UsageError("--accept, --decline, --cancel and --json '{…}' exclude each other")
    return wanted[0] if wanted else "typed" if text is not None else ""


def _show(job: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json({"input_requests": job["input_requests"], "answer_by": job["answer_by"]})
    elif not job["input_requests"]:
        say(f"nothing is asked: job {job['id']} is {job['state']}")
    else:
        for question in job["input_requests"]:
            out.print(question_text(question, job["answer_by"]), markup=False, soft_wrap=True)


def _answer(
    router: Client, job: str, question: Mapping[str, Any], answer_by: str, given: dict[str, Any]
) -> dict[str, Any]:
    say(question_text(question, answer_by))
    return router.answer(job, {question["key"]: given})
