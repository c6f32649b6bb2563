"""Rounds of questions: whose they are, what is open, what is known, and which answers fit."""

from dataclasses import replace
from typing import Any

import pytest

from common.jobs.answers import (
    answer_foregone,
    answer_instead,
    declined,
    is_answer,
    problem_of,
    refused_round,
)
from common.jobs.questions import (
    ELICITATION,
    ROOTS,
    SAMPLING,
    Answer,
    Request,
    Round,
    all_known,
    answered_before,
    declares,
    decode_round,
    encode_round,
    merge_answers,
    next_round,
    open_requests,
    responses,
)

SCHEMA = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}
FORM: Request = {"method": ELICITATION, "params": {"message": "?", "requestedSchema": SCHEMA}}
LINK: Request = {"method": ELICITATION, "params": {"mode": "url", "url": "https://x.test/"}}
MODEL: Request = {"method": SAMPLING, "params": {"messages": [], "maxTokens": 1}}
FOLDERS: Request = {"method": ROOTS, "params": {}}
FORM_ONLY: dict[str, Any] = {"elicitation": {}}
ALL: dict[str, Any] = {"elicitation": {"form": {}, "url": {}}, "sampling": {}, "roots": {}}
SEVEN: Answer = {"action": "accept", "content": {"age": 7}}
STORY: Answer = {"role": "assistant", "content": {"type": "text", "text": "x"}, "model": "m"}


def a_round(
    capabilities: dict[str, Any] | None = None, before: Round | None = None, **requests: Request
) -> Round:
    asked = requests or {"age": FORM, "story": MODEL}
    declared = ALL if capabilities is None else capabilities
    return next_round(before, asked, state="s", capabilities=declared, now=5)


def test_keys_are_unique_over_the_jobs_life_and_the_backend_gets_its_own() -> None:
    first = a_round(age=FORM)
    second = a_round(before=first, age=FORM)
    assert (list(first.requests), list(second.requests)) == (["1.age"], ["2.age"])
    assert responses(merge_answers(second, {"2.age": SEVEN})) == {"age": SEVEN}
    assert merge_answers(second, {"1.age": SEVEN}) == second


def test_a_key_of_the_backend_may_have_dots() -> None:
    asked = next_round(None, {"a.b": FORM}, state=None, capabilities=ALL, now=5)
    asked = merge_answers(asked, {"1.a.b": SEVEN})
    assert responses(asked) == {"a.b": SEVEN}


def test_a_round_comes_back_as_it_was() -> None:
    asked = replace(a_round({}), request_state="é\u2028\\\u0000 \U0001f600 +/==", held=True)
    asked = merge_answers(asked, {"1.age": SEVEN}, operator=True)
    assert decode_round(encode_round(asked)) == asked
    newer = encode_round(asked)[:-1] + b',"weather":"fine"}'
    assert decode_round(newer) == asked


def test_unknown_and_answered_keys_are_passed_over() -> None:
    asked = merge_answers(a_round(), {"1.age": SEVEN, "9.age": SEVEN, "age": SEVEN})
    assert asked.answers == {"1.age": SEVEN}
    assert merge_answers(asked, {"1.age": {"action": "decline"}}) == asked
    assert list(open_requests(asked)) == ["1.story"]
    assert not asked.complete
    assert merge_answers(asked, {"1.story": STORY}).complete


def test_a_kind_that_the_caller_has_not_declared_is_an_operators() -> None:
    asked = a_round(FORM_ONLY)
    assert list(open_requests(asked)) == ["1.age"]
    assert list(open_requests(asked, operator=True)) == ["1.age", "1.story"]
    assert merge_answers(asked, {"1.story": STORY}) == asked
    assert "1.story" in merge_answers(asked, {"1.story": STORY}, operator=True).answers


@pytest.mark.parametrize(
    ("capabilities", "request_", "can"),
    [
        ({}, FORM, False),
        ({"elicitation": {}}, FORM, True),
        ({"elicitation": {"form": {}}}, FORM, True),
        ({"elicitation": {"url": {}}}, FORM, False),
        ({"elicitation": {}}, LINK, False),
        ({"elicitation": {"form": {}, "url": {}}}, LINK, True),
        ({"elicitation": None}, FORM, False),
        ({"sampling": {}}, MODEL, True),
        ({"elicitation": {}}, MODEL, False),
        ({"sampling": {}}, {"method": SAMPLING, "params": {"tools": []}}, False),
        ({"sampling": {"tools": {}}}, {"method": SAMPLING, "params": {"tools": []}}, True),
        ({"roots": {}}, FOLDERS, True),
        ({}, FOLDERS, False),
    ],
)
def test_what_a_caller_can_be_asked(
    capabilities: dict[str, Any], request_: Request, *, can: bool
) -> None:
    assert declares(capabilities, request_) is can


def test_a_tool_that_begins_anew_is_answered_what_it_was_told_before() -> None:
    first = merge_answers(a_round(age=FORM), {"1.age": SEVEN})
    second = merge_answers(a_round(before=first, story=MODEL), {"2.story": STORY})
    known = all_known(second)
    assert {key: each["answer"] for key, each in known.items()} == {"age": SEVEN, "story": STORY}
    anew = answered_before(a_round(before=second, age=FORM, other=FORM), known)
    assert anew.answers == {"3.age": SEVEN}
    changed: Request = {"method": ELICITATION, "params": {"message": "Really?"}}
    assert answered_before(a_round(before=second, age=changed), known).answers == {}


@pytest.mark.parametrize(
    ("request_", "answer", "problem"),
    [
        (FORM, SEVEN, None),
        (FORM, {"action": "decline"}, None),
        (FORM, {"action": "cancel", "content": {"age": "?"}}, None),
        (FORM, {"action": "accept"}, "age"),
        (FORM, {"action": "accept", "content": {"age": "old"}}, "at age"),
        (FORM, {"action": "accept", "content": [7]}, "content"),
        (FORM, {"action": "perhaps"}, "action"),
        (FORM, {}, "action"),
        (FORM, "yes", "object"),
        (LINK, {"action": "accept"}, None),
        (MODEL, STORY, None),
        (MODEL, {"error": {"code": -1, "message": "no"}}, None),
        (MODEL, {"role": "assistant", "model": "m"}, "content"),
        (FOLDERS, {"roots": [{"uri": "file:///a"}]}, None),
        (FOLDERS, {"roots": [{"name": "a"}]}, "uri"),
        (FOLDERS, {}, "roots"),
    ],
)
def test_which_answers_fit(request_: Request, answer: object, problem: str | None) -> None:
    found = problem_of(request_, answer)
    assert found is None if problem is None else found is not None and problem in found


def test_a_schema_that_cannot_be_used_is_the_backends_to_judge() -> None:
    odd: Request = {"method": ELICITATION, "params": {"requestedSchema": {"type": "mystery"}}}
    assert problem_of(odd, {"action": "accept", "content": {"x": 1}}) is None
    remote = {"$ref": "https://schemas.test/x.json"}
    far: Request = {"method": ELICITATION, "params": {"requestedSchema": remote}}
    assert problem_of(far, {"action": "accept", "content": {}}) is None


def test_the_default_counts_only_where_it_fits() -> None:
    asked = answer_instead(a_round(age=FORM, name=LINK, story=MODEL, where=FOLDERS), SEVEN)
    assert asked.complete
    assert asked.answers["1.age"] == asked.answers["1.name"] == SEVEN
    assert asked.answers["1.where"] == {"roots": []}
    assert refused_round(asked) is not None
    wrong = answer_instead(a_round(age=FORM), {"action": "accept", "content": {"age": "x"}})
    assert wrong.answers == {"1.age": {"action": "decline"}}


def test_the_default_is_at_once_the_answer_of_whoever_cannot_be_asked() -> None:
    asked = a_round(FORM_ONLY, age=FORM, name=LINK, where=FOLDERS)
    assert answer_foregone(asked, SEVEN).answers == {"1.name": SEVEN}
    assert answer_foregone(asked, None) == asked
    assert answer_foregone(a_round({}, age=FORM), {"action": "perhaps"}).answers == {}


@pytest.mark.parametrize("request_", [FORM, LINK, MODEL, FOLDERS])
def test_a_no_fits_its_question(request_: Request) -> None:
    assert problem_of(request_, declined(request_)) is None


def test_what_may_be_configured_as_a_default() -> None:
    good: list[Answer] = [SEVEN, STORY, {"roots": []}, {"action": "decline"}]
    assert all(is_answer(answer) for answer in good)
    for odd in ({}, {"age": 7}, {"action": "yes"}):
        assert not is_answer(odd)
