"""What does not fit a schema is told without what was sent."""

from typing import Any

import pytest

from common.jobs.answers import problem_of
from common.jobs.questions import ELICITATION
from common.misfits import LONGEST, compile_schema, misfits

SENT = "e5f1c0"


@pytest.mark.parametrize(
    ("rule", "value"),
    [
        ({"type": "integer"}, SENT),
        ({"enum": ["a", "b"]}, SENT),
        ({"pattern": "^a"}, SENT),
        ({"maxLength": 3}, SENT),
        ({"uniqueItems": True}, [SENT, SENT]),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, SENT),
        ({"not": {"type": "string"}}, SENT),
        ({"contains": {"type": "integer"}}, [SENT]),
    ],
)
def test_path_and_rule_are_told_and_no_value(rule: dict[str, Any], value: object) -> None:
    schema = {"type": "object", "properties": {"token": rule}}
    (told,) = misfits(compile_schema(schema), {"token": value}, "(arguments)")
    assert told.startswith("at token: ")
    assert f"(rule properties/token/{next(iter(rule))})" in told
    assert SENT not in told
    question = {"method": ELICITATION, "params": {"requestedSchema": schema}}
    assert problem_of(question, {"action": "accept", "content": {"token": value}}) == told


def test_a_name_of_any_length_is_cut() -> None:
    validator = compile_schema({"properties": {"a": {}}, "additionalProperties": False})
    (told,) = misfits(validator, {"x" * 100_000: 1}, "(arguments)")
    assert len(told) == LONGEST
    assert told.startswith("at (arguments): Additional properties are not allowed ('xxx")


@pytest.mark.parametrize("schema", [{"type": "nothing"}, {"$ref": "https://example.com/schema"}])
def test_a_schema_that_is_none_or_wants_to_be_fetched_is_unusable(schema: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"not valid|not fetched"):
        compile_schema(schema)
