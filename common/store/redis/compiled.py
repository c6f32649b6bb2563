"""The shape of a change as the lines of `commit.lua` that differ from change to change.

Each shape is a script of its own. What a change does stands there as plain commands: a script that
reads it from a table of JSON costs Redis twice as much, and Redis does one thing at a time.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, count

from common.store.redis.shape import FIRST, Shape

_MARK = re.compile(r"^ *--@ (\w+)$", re.MULTILINE)
_NAME = re.compile(r"[\w:{}.]*")
_FIELD = re.compile(r"\{(\w+)\}")


def compiled(source: str, shape: Shape) -> str:
    """`commit.lua` for changes of this shape.

    Raises:
        ValueError: A name in it is none that stands in the code: it would be run by Redis.
    """
    if odd := [name for name in _names(shape) if not _NAME.fullmatch(name)]:
        raise ValueError(f"not the name of a field, an index or a part: {odd[0]!r}")
    sections = _Sections(shape)
    return _MARK.sub(lambda mark: "\n".join(getattr(sections, mark[1])()), source)


class _Sections:
    """One method for each mark in the source; values of ARGV come in the order of the shape."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._after = _values_after(shape)  # field: what it is after the change, in Lua
        needing = [field for field, how in shape.changed if how != "now"]
        self._amounts = dict(zip(needing, _values(shape.places.changed), strict=False))
        self._before = {} if shape.creates else {name: f"head.{name}" for name in _asked(shape)}

    def head(self) -> Iterator[str]:
        names = ["version", "commits", *self._before]
        asked = ", ".join(f"'{name}'" for name in names)
        fields = ", ".join(f"{name} = known[{i}]" for i, name in enumerate(names, 1))
        yield f"local known = call('HMGET', key, {asked})"
        yield f"local head = {{ {fields} }}"

    def version(self) -> Iterator[str]:
        if self._shape.creates:
            yield "if head.version then return refused('version') end"
            return
        yield "if not head.version then return refused('missing') end"
        yield "if head.version ~= asked then return refused('version') end"
        yield "if number(head.format) > C.format then return refused('format') end"

    def guards(self) -> Iterator[str]:
        values = _values(FIRST)
        for kind, field, words in self._shape.guards:
            match kind:
                case "Room" | "Window":
                    holds = f"has_room({next(values)}, {next(values)}, {next(values)})"
                case "TimeReached":
                    holds = f"(now >= number({self._was(field)}))"
                case "TimeBefore":
                    clock = f"number({self._was(field)})"
                    holds = f"({clock} == 0 or now < {clock})"
                case "OneOf":
                    is_it = [f"{self._was(field)} == {next(values)}" for _ in range(words)]
                    holds = f"({' or '.join(['false', *is_it])})"
                case "LeaseAlive":
                    holds = f"lease_alive({next(values)}, now, C.timings)"
                case "LeaseGone":
                    holds = f"lease_gone({next(values)}, now, C.timings)"
                case "BatchRuns":
                    holds = f"batch_runs({next(values)})"
                case _:
                    yield from _keyed(kind, values)
                    continue
            yield f"if not {holds} then return refused('{kind}') end"

    def writes(self) -> Iterator[str]:
        """Indexes are named by the head before the change, or by what a new record begins with."""
        creates = self._shape.creates
        if not creates:
            yield from self._moves(self._before)
        places = self._shape.places
        for i in range(places.takes, places.replays):
            yield f"take(ARGV[{i}])"
        for i in range(places.replays, places.changed, 2):
            yield f"replay(ARGV[{i}], ARGV[{i + 1}])"
        for field, how in self._shape.changed:
            if how != "now":
                yield f"local new_{field} = {self._changed(field, how)}"
        fields = "".join(f", '{name}', {value}" for name, value in self._after.items())
        yield f"call('HSET', key, 'id', id, 'version', version, 'commits', commits{fields})"
        if creates:
            yield from self._moves(self._after)

    def clocks(self) -> Iterator[str]:
        return (f"by({self._is(field)})" for field in self._shape.clocks)

    def due(self) -> Iterator[str]:
        no_later = "'LT', " if self._shape.no_later else ""
        yield f"call('ZADD', P .. ':i:due', {no_later}due, id)"

    def end(self) -> Iterator[str]:
        yield f"append_event(id, version, '{self._shape.name}', facts)"
        bodies = dict(zip(self._shape.parts, _values(self._shape.places.parts), strict=False))
        for part, body in bodies.items():
            yield f"call('SET', key .. ':{part}', {body})"
        owner = self._was("owner") if self._shape.wake_owner else "nil"
        result = bodies.get("result", "nil")
        told = f"{self._is('state')}, {self._is('watchers')}, {owner}, {result}"
        yield f"tell('{self._shape.name}', {told})"

    def answer(self) -> Iterator[str]:
        counting = self._shape.counting
        index = f"P .. ':i:' .. {_filled(counting, self._before)}"
        counted = f"call('ZCARD', {index})" if counting else "0"
        asked = self._shape.returning
        names = [name for name in asked if name != "head"]
        head = "call('HGETALL', key)" if "head" in asked else "{}"
        parts = ", ".join(f"key .. ':{part}'" for part in names)
        bodies = f", unpack(call('MGET', {parts}), 1, {len(names)})"
        yield f"return {{ 1, version, now, {head}, {counted}{bodies if parts else ''} }}"

    def _moves(self, fields: Mapping[str, str]) -> Iterator[str]:
        values = _values(self._shape.places.moves)
        held = []
        for how, template, is_held in self._shape.moves:
            name = _filled(template, fields) if template else next(values)
            index = f"P .. ':i:' .. {name}"
            match how:
                case "out":
                    yield f"call('ZREM', {index}, id)"
                case "now":
                    yield f"call('ZADD', {index}, now_text, id)"
                case "later":
                    yield f"call('ZADD', {index}, whole(now + {next(values)}), id)"
                case "next":
                    yield f"put_last({index})"
                case _:
                    yield f"call('ZADD', {index}, {next(values)}, id)"
            if is_held:
                held.append(f"list_held({name})")
        yield from held

    def _was(self, field: str) -> str:
        return self._before.get(field, "nil")

    def _is(self, field: str) -> str:
        return self._after.get(field) or self._was(field)

    def _changed(self, field: str, how: str) -> str:
        amount = self._amounts[field]
        match how:
            case "later":
                return f"whole(now + {amount})"
            case "add":
                return f"whole(number({self._was(field)}) + {amount})"
            case _:
                return f"whole(math.max(number({self._was(field)}), number({amount})))"


def _values(first: int) -> Iterator[str]:
    return (f"ARGV[{i}]" for i in count(first))


def _names(said: object) -> Iterator[str]:
    if isinstance(said, str):
        yield said
    elif isinstance(said, tuple):
        for each in said:
            yield from _names(each)


def _keyed(kind: str, values: Iterator[str]) -> Iterator[str]:
    """Guards that say which job stands in the way."""
    match kind:
        case "Unique":
            yield f"local other = holder({next(values)})"
        case "Free":
            yield f"local other = holder({next(values)}, {next(values)})"
        case "Replays":
            yield f"local may, other = may_replay({next(values)})"
            next(values)  # who asked for it
            yield "if not may then return refused('Replays', other) end"
            return
    yield f"if other then return refused('{kind}', other) end"


def _values_after(shape: Shape) -> dict[str, str]:
    """Every field that the change writes, as the expression of its new value."""
    changed = {
        field: "now_text" if how == "now" else f"new_{field}" for field, how in shape.changed
    }
    plain = {field: f"ARGV[{place}]" for place, field in enumerate(shape.plain, shape.places.plain)}
    return changed | plain


def _asked(shape: Shape) -> Iterable[str]:
    """What a change of an existing record has to know of its head."""
    templates = [template for _, template, _ in shape.moves if template]
    written = {*shape.plain, *(field for field, _ in shape.changed)}
    later = [*shape.clocks, "state", "watchers"]
    return dict.fromkeys(
        [
            "format",
            *(field for _, field, _ in shape.guards if field),
            *(field for field, how in shape.changed if how in {"add", "max"}),
            *(name for text in [*templates, shape.counting] for name in _FIELD.findall(text)),
            *(name for name in later if name not in written),
            *(["owner"] if shape.wake_owner else []),
        ]
    )


def _filled(template: str, fields: Mapping[str, str]) -> str:
    """`tool:{tool}` as the expression of a name; a field that the head has not is empty."""
    texts, names = _FIELD.split(template)[::2], _FIELD.findall(template)
    values = [f"({fields.get(name, 'nil')} or '')" for name in names]
    said = chain.from_iterable(zip((f"'{text}'" for text in texts), [*values, ""], strict=True))
    return " .. ".join(word for word in said if word not in {"", "''"})
