"""Arguments from the command line: `--arg name=value`, typed by the tool's schema. Pure."""

import json
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from longhaul.exits import UsageError

_MANY_STEPS = 8  # of references in a schema


def split_json_option(words: Iterable[str]) -> list[str]:
    """`--json '{…}'` gives arguments, `--json` alone asks for JSON: told apart before parsing."""
    given = list(words)
    shown: list[str] = []
    for index, word in enumerate(given):
        following = given[index + 1] if index + 1 < len(given) else ""
        if word == "--json" and following.lstrip().startswith("{"):
            shown.append("--arguments")
        elif word.startswith("--json="):
            shown.append("--arguments" + word.removeprefix("--json"))
        else:
            shown.append(word)
    return shown


def arguments_of(
    schema: Mapping[str, Any], text: str | None, pairs: Iterable[str], option: str = "--arg"
) -> dict[str, Any]:
    """The JSON object, with the pairs on top; `option` is what a pair was given with.

    Raises:
        UsageError: Not JSON, not a pair, or a value that does not fit its type.
    """
    arguments = _object(text) if text is not None else {}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not separator or not name:
            raise UsageError(f"{option} {pair}: write {option} name=value")
        arguments[name] = _value(schema, name, value, option)
    return arguments


def unnamed(schema: Mapping[str, Any], pairs: Iterable[str]) -> list[str]:
    """Remarks on names that the tool takes, but does not know: most are slips of the pen.

    A name counts alone as well as with its value.
    """
    properties = _resolve(schema, schema).get("properties") or {}
    names = [pair.partition("=")[0] for pair in pairs]
    return [_unknown(name, properties) for name in names if properties and name not in properties]


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise UsageError(f"--json is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise UsageError("--json should be an object, as '{\"rows\": 100}'")
    return value


def _value(schema: Mapping[str, Any], name: str, text: str, option: str) -> Any:
    properties = _resolve(schema, schema).get("properties") or {}
    if name not in properties and schema.get("additionalProperties") is False:
        raise UsageError(_unknown(name, properties))
    allowed = _types(schema, properties.get(name, {}))
    parsed = _parsed(text)
    fits = not isinstance(parsed, _NotJson) and (not allowed or _name_of(parsed) & allowed)
    if fits and allowed != {"string"}:
        return parsed
    if not allowed or "string" in allowed:
        return text
    wanted = " or ".join(sorted(allowed))
    raise UsageError(f"{option} {name}={text}: the tool wants {_article(wanted)} {wanted}")


def _unknown(name: str, properties: Mapping[str, Any]) -> str:
    near = get_close_matches(name, properties, n=1)
    if near:
        return f"the tool has no argument {name}; did you mean {near[0]}?"
    return f"the tool has no argument {name}; it has: {', '.join(properties) or 'none'}"


class _NotJson:
    pass


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return _NotJson()


def _name_of(value: Any) -> set[str]:
    """The JSON Schema types that a value has."""
    match value:
        case bool():
            return {"boolean"}
        case int():
            return {"integer", "number"}
        case float():
            return {"number", "integer"} if value.is_integer() else {"number"}
        case str():
            return {"string"}
        case None:
            return {"null"}
        case list():
            return {"array"}
        case _:
            return {"object"}


def _types(root: Mapping[str, Any], schema: Any) -> set[str]:
    """The types a schema allows, as far as it says; empty: it does not say."""
    schema = _resolve(root, schema)
    said = schema.get("type")
    if isinstance(said, str):
        return {said}
    if isinstance(said, list):
        return set(said)
    choices = schema.get("anyOf") or schema.get("oneOf") or []
    found = [_types(root, choice) for choice in choices]
    if found and all(found):
        return set().union(*found)
    values = schema.get("enum", [schema["const"]] if "const" in schema else [])
    return set().union(*(_name_of(value) for value in values))


def _resolve(root: Mapping[str, Any], schema: Any) -> Mapping[str, Any]:
    """A local reference followed; anything else says nothing here, the router judges it."""
    for _ in range(_MANY_STEPS):
        if not isinstance(schema, Mapping):
            return {}
        reference = schema.get("$ref")
        if not isinstance(reference, str) or not reference.startswith("#/"):
            return schema
        found: Any = root
        for step in reference.removeprefix("#/").split("/"):
            found = found.get(step) if isinstance(found, Mapping) else None
        schema = found
    return {}


def _article(word: str) -> str:
    return "an" if word[0] in "aio" else "a"
