"""`longhaul jobs answer` as a person uses it: what is asked is shown, then answered."""

import sys
from collections.abc import Iterator

import httpx2
import pytest

from tests.support.desk import Desk
from tests.support.inquiry import ALL
from tests.support.peers import peer_python
from tests.support.system import BACKENDS
from tests.support.waiting import wait_for


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    desk = Desk(tmp_path_factory.mktemp("desk"))
    legacy = [str(BACKENDS / "mcp1_server.py"), "stdio"]
    desk.configure(
        {
            "old": {"command": str(peer_python("mcp1")), "args": legacy, "interactive": True},
            "new": {"command": sys.executable, "args": [str(BACKENDS / "asking.py"), "stdio"]},
        },
    )
    return desk


@pytest.fixture(scope="module", autouse=True)
def router(desk: Desk) -> Iterator[str]:
    with desk.router() as address:
        tools = ("tools", "--json")
        wait_for(lambda: len(desk.run(*tools).json["tools"]) >= 10, seconds=30)
        yield address


def asked(desk: Desk, *words: str) -> str:
    """The id of a job that waits for an answer."""
    job = desk.run("submit", *words, "-a", f"log={desk.log}").out.strip()
    shown = ("jobs", "show", job, "--json")
    wait_for(lambda: desk.run(*shown).json["state"] == "input_required", seconds=20)
    return job


@pytest.mark.parametrize("tool", ["old__greet", "new__blunt"])
def test_a_question_is_shown_with_all_that_its_answer_needs(desk: Desk, tool: str) -> None:
    job = asked(desk, tool)
    shown = desk.run("jobs", "answer", job)
    assert shown.code == 0
    message, field = {
        "old__greet": ("Name 1?", "name: string"),
        "new__blunt": ("Go on?", "ok: boolean, optional"),
    }[tool]
    for words in (message, field, "asked of an operator", "an answer is of use until"):
        assert words in shown.out, shown.out
    assert message in desk.run("jobs", "ls").out
    (question,) = desk.run("jobs", "answer", job, "--json").json["input_requests"]
    assert question["params"]["message"] == message
    assert desk.run("jobs", "cancel", job).code == 0


def test_a_form_is_filled_in_with_typed_fields(desk: Desk) -> None:
    job = asked(desk, "new__blunt")
    wrong = desk.run("jobs", "answer", job, "--field", "ok=perhaps")
    assert (wrong.code, "--field ok=perhaps" in wrong.err) == (2, True)
    ran = desk.run("jobs", "answer", job, "--accept", "--field", "ok=true")
    assert ran.code == 0
    assert "Go on?" in ran.err
    assert f"answered; job {job} goes on" in ran.err
    assert "'ok': True" in desk.run("jobs", "wait", job).out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--accept", "--field", "name=7"), "hello 7"),
        (("--decline",), "hello decline"),
        (("--cancel",), "hello cancel"),
        (("--json", '{"action": "accept", "content": {"name": "Ada"}}'), "hello Ada"),
    ],
)
def test_a_question_in_mid_call_is_answered(desk: Desk, words: tuple[str, ...], said: str) -> None:
    job = asked(desk, "old__greet")
    assert desk.run("jobs", "answer", job, *words).code == 0
    assert said in desk.run("jobs", "wait", job).out


def test_several_questions_have_keys(desk: Desk, router: str) -> None:
    body = {"tool": "new__survey", "arguments": {}, "capabilities": ALL}
    job = httpx2.post(f"{router}/v1/jobs", json=body, timeout=60).json()["id"]
    shown = ("jobs", "show", job, "--json")
    wait_for(lambda: desk.run(*shown).json["state"] == "input_required")
    unclear = desk.run("jobs", "answer", job, "--decline")
    assert unclear.code == 2
    assert "say which with --key" in unclear.err
    requests = desk.run("jobs", "answer", job, "--json").json["input_requests"]
    keys = {each["method"]: each["key"] for each in requests}
    roots = desk.run("jobs", "answer", job, "--key", keys["roots/list"], "--decline")
    assert f"job {job} still asks: " in roots.err
    model = ("--key", keys["sampling/createMessage"])
    assert desk.run("jobs", "answer", job, *model, "--accept").code == 2
    story = '{"role": "assistant", "content": {"type": "text", "text": "once"}, "model": "m"}'
    assert desk.run("jobs", "answer", job, *model, "--json", story).code == 0
    odd = desk.run("jobs", "answer", job, "--field", "name=A")
    assert (odd.code, "does not fit" in odd.err) == (2, True)
    assert desk.run("jobs", "answer", job, "--field", "name=Ada").code == 0
    assert "Ada: once in" in desk.run("jobs", "wait", job).out


def test_what_cannot_be_answered(desk: Desk) -> None:
    done = desk.run("call", "old__steps", "-a", "count=1", "--json").json["id"]
    assert desk.run("jobs", "answer", done).code == 0
    late = desk.run("jobs", "answer", done, "--decline")
    assert (late.code, "nothing is asked" in late.err) == (2, True)
    assert desk.run("jobs", "answer", "nope", "--decline").code == 4
    both = desk.run("jobs", "answer", done, "--decline", "--accept")
    assert (both.code, "exclude each other" in both.err) == (2, True)
