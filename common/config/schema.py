"""What the model knows about its keys: names for hints, types for the text of a file."""

import difflib
import types
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from common.config.tree import Node


def step(annotation: Any, key: str) -> Any:
    """The type of what stands at `key` below a type; None where nothing can stand."""
    for option in _options(annotation):
        if _is_model(option):
            for name, item in option.model_fields.items():
                if key == (item.alias or name):
                    return item.annotation
        elif get_origin(option) is dict:
            return get_args(option)[1]
        elif get_origin(option) is tuple:
            return get_args(option)[0]
    return None


def type_at(annotation: Any, path: Iterable[str]) -> Any:
    for key in path:
        annotation = step(annotation, key)
    return annotation


def keys_of(annotation: Any) -> tuple[str, ...]:
    """The keys a section may have; none for a mapping with free keys."""
    return tuple(
        item.alias or name
        for option in _options(annotation)
        if _is_model(option)
        for name, item in option.model_fields.items()
    )


def has_free_keys(annotation: Any) -> bool:
    return any(get_origin(option) is dict for option in _options(annotation))


def is_section(annotation: Any) -> bool:
    return has_free_keys(annotation) or any(_is_model(option) for option in _options(annotation))


def is_list(annotation: Any) -> bool:
    return any(get_origin(option) is tuple for option in _options(annotation))


def nearest_name(name: str, known: Iterable[str]) -> str | None:
    """The known name most like this one, if any is like it at all."""
    by_form = {item.lower(): item for item in known}
    found = difflib.get_close_matches(name.lower(), by_form, n=1, cutoff=0.6)
    return by_form[found[0]] if found else None


def fit(node: Node, annotation: Any) -> Node | None:
    """The tree in the model's terms: text as it was written, empty sections left out.

    `PORT: 8080` under `env` is the text `8080`, and `queues:` with nothing below it is no mistake.
    """
    options = _options(annotation)
    if isinstance(node.value, dict):
        fitted = {key: fit(child, step(annotation, key)) for key, child in node.value.items()}
        return Node(
            value={key: child for key, child in fitted.items() if child is not None},
            origin=node.origin,
        )
    if isinstance(node.value, tuple):
        item = step(annotation, "0")
        items = (fit(child, item) for child in node.value)
        return Node(value=tuple(child for child in items if child), origin=node.origin)
    if node.value is None:
        keep = annotation is None or type(None) in options or Any in options
        return node if keep else None
    if str in options and node.text is not None:
        return Node(value=node.text, origin=node.origin, text=node.text)
    return node


def _options(annotation: Any) -> tuple[Any, ...]:
    return tuple(_flat(annotation))


def _flat(annotation: Any) -> Iterator[Any]:
    if get_origin(annotation) is Annotated:
        yield from _flat(get_args(annotation)[0])
    elif get_origin(annotation) in {Union, types.UnionType}:
        for option in get_args(annotation):
            yield from _flat(option)
    else:
        yield annotation


def _is_model(option: Any) -> bool:
    return isinstance(option, type) and issubclass(option, BaseModel)
