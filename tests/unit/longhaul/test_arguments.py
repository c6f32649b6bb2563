"""Arguments from the command line take the types that the tool's schema says."""

import json
from typing import Any

import pytest

from longhaul.arguments import arguments_of, split_json_option, unnamed
from longhaul.exits import UsageError

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "rows": {"type": "integer"},
        "rate": {"type": "number"},
        "fast": {"type": "boolean"},
        "tags": {"type": "array"},
        "where": {"type": "object"},
        "limit": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        "label": {"type": ["string", "null"]},
        "format": {"enum": ["csv", "jsonl"]},
        "level": {"$ref": "#/$defs/level"},
        "loop": {"$ref": "#/properties/loop"},
        "any": {},
    },
    "$defs": {"level": {"type": "integer"}},
}


@pytest.mark.parametrize(
    ("pair", "value"),
    [
        ("name=orders", "orders"),
        ("name=12", "12"),
        ("name=true", "true"),
        ("name=a=b", "a=b"),
        ("name=", ""),
        ("rows=12", 12),
        ("rows=12.0", 12.0),
        ("rate=1.5", 1.5),
        ("rate=2", 2),
        ("fast=true", True),
        ('tags=["a", "b"]', ["a", "b"]),
        ('where={"country": "DE"}', {"country": "DE"}),
        ("limit=null", None),
        ("limit=3", 3),
        ("label=null", None),
        ("label=x", "x"),
        ("format=csv", "csv"),
        ("level=3", 3),
        ("loop=x", "x"),
        ("any=3", 3),
        ("any=three", "three"),
        ("unheard_of=3", 3),
    ],
)
def test_a_value_takes_the_type_the_tool_wants(pair: str, value: Any) -> None:
    (found,) = arguments_of(SCHEMA, None, [pair]).values()
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("pair", "words"),
    [
        ("rows=many", "--arg rows=many: the tool wants an integer"),
        ("rows=1.5", "--arg rows=1.5: the tool wants an integer"),
        ("rows=true", "--arg rows=true: the tool wants an integer"),
        ("fast=yes", "--arg fast=yes: the tool wants a boolean"),
        ("limit=x", "--arg limit=x: the tool wants an integer or null"),
        ("tags=a", "--arg tags=a: the tool wants an array"),
        ("rows", "--arg rows: write --arg name=value"),
        ("=3", "--arg =3: write --arg name=value"),
    ],
)
def test_a_value_of_another_type_is_refused(pair: str, words: str) -> None:
    with pytest.raises(UsageError) as refused:
        arguments_of(SCHEMA, None, [pair])
    assert str(refused.value) == words


def test_pairs_go_on_top_of_the_object() -> None:
    found = arguments_of(SCHEMA, '{"rows": 1, "name": "a"}', ["rows=2"])
    assert found == {"rows": 2, "name": "a"}


@pytest.mark.parametrize("text", ["{", "[1]", "3"])
def test_only_an_object_can_be_arguments(text: str) -> None:
    with pytest.raises(UsageError):
        arguments_of(SCHEMA, text, [])


def test_a_closed_schema_refuses_an_unknown_name() -> None:
    closed = SCHEMA | {"additionalProperties": False}
    with pytest.raises(UsageError, match="did you mean rows"):
        arguments_of(closed, None, ["rowz=3"])
    with pytest.raises(UsageError, match="it has: name, rows"):
        arguments_of(closed, None, ["q=3"])


def test_a_slip_in_a_name_is_remarked() -> None:
    assert unnamed(SCHEMA, ["rowz=3", "rows=3"]) == [
        "the tool has no argument rowz; did you mean rows?"
    ]
    assert unnamed({"type": "object"}, ["rowz=3"]) == []


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["call", "t", "--json"], ["call", "t", "--json"]),
        (["call", "--json", "t"], ["call", "--json", "t"]),
        (["call", "t", "--json", "{}"], ["call", "t", "--arguments", "{}"]),
        (["call", "t", "--json={}"], ["call", "t", "--arguments={}"]),
        (
            ["call", "t", "--json", " {}", "--json"],
            ["call", "t", "--arguments", " {}", "--json"],
        ),
    ],
)
def test_json_with_an_object_gives_arguments(words: list[str], meant: list[str]) -> None:
    assert split_json_option(words) == meant


def test_arguments_survive_as_json() -> None:
    text = json.dumps({"n": 2**80, "text": "ä\n"})
    assert arguments_of({}, text, []) == {"n": 2**80, "text": "ä\n"}
