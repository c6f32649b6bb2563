"""Laws of reading a configuration, over many of them."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from common.config.duration import parse_duration
from common.config.json_reader import read_json
from common.config.problems import Origin
from common.config.tree import Node, merge, nearest, node_of, plain
from common.config.variables import Expansion
from tests.support.configuration import load

names = st.from_regex(r"[A-Z_][A-Z0-9_]{0,5}", fullmatch=True)
documents = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)
trees = st.recursive(
    st.integers(), lambda inner: st.dictionaries(st.sampled_from("abc"), inner), max_leaves=8
)


def words(tree: object, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], object]]:
    if isinstance(tree, dict):
        for key, child in tree.items():
            yield from words(child, (*path, key))
    else:
        yield path, tree


def expand(text: str, variables: dict[str, str]) -> tuple[object, int]:
    expansion = Expansion(variables=variables)
    node = expansion.tree(Node(value=text, origin=Origin()))
    return node.value, len(expansion.problems)


@given(
    file=st.none() | st.integers(1, 99),
    env=st.none() | st.integers(100, 199),
    option=st.none() | st.integers(200, 299),
)
def test_the_command_line_wins_over_the_environment_and_that_over_the_file(
    file: int | None, env: int | None, option: int | None
) -> None:
    environ = {} if env is None else {"LONGHAUL_LISTEN__PORT": str(env)}
    text = "" if file is None else f"listen: {{port: {file}}}"
    with TemporaryDirectory() as folder:
        loaded = load(Path(folder), text, environ, {"listen.port": option})
    given_values = (option, env, file, 8080)
    assert loaded.settings.listen.port == next(v for v in given_values if v is not None)
    sources = ("command line", "environment LONGHAUL_LISTEN__PORT", "longhaul.yaml:1", "default")
    chosen = next(s for s, v in zip(sources, given_values, strict=True) if v is not None)
    assert loaded.provenance["listen.port"] == chosen


@given(documents, st.sampled_from([None, 1, "\t"]))
def test_json_reads_as_the_standard_library_reads_it(document: object, indent: str | None) -> None:
    text = json.dumps(document, indent=indent)
    assert plain(read_json(text, "x.json")) == json.loads(text)


@given(st.lists(st.sampled_from(["\n", "\t", " ", "// x\n", "/* {\n */"])))
def test_a_value_has_the_line_it_stands_on(before: list[str]) -> None:
    text = "".join(before) + '{"a":\n1}'
    node = read_json(text, "x.json")
    line = "".join(before).count("\n") + 1
    assert (node.origin.line, node.children["a"].origin.line) == (line, line)


@given(trees, trees)
def test_every_word_of_the_stronger_source_counts(under: object, over: object) -> None:
    merged = merge(node_of(under, Origin()), node_of(over, Origin()))
    assert merge(merged, node_of(over, Origin())) == merged
    for path, word in words(over):
        taken, node = nearest(merged, path)
        assert (taken, node.value) == (path, word)
    if isinstance(under, dict) and isinstance(over, dict):
        assert set(merged.children) == set(under) | set(over)


@given(names, st.text(), st.text(st.characters(exclude_characters="}")))
def test_a_variable_is_its_value_else_its_default(name: str, value: str, default: str) -> None:
    assert expand(f"<${{{name}}}>", {name: value}) == (f"<{value}>", 0)
    assert expand(f"<${{env:{name}}}>", {name: value}) == (f"<{value}>", 0)
    assert expand(f"${{{name}:-{default}}}", {name: value}) == (value or default, 0)
    assert expand(f"${{{name}:-{default}}}", {}) == (default, 0)
    assert expand(f"${{{name}}}", {})[1] == 1
    assert expand(f"$${{{name}}}", {name: value}) == (f"${{{name}}}", 0)


@given(st.text())
def test_text_without_a_reference_is_left_alone(text: str) -> None:
    if not re.search(r"\$\{", text):
        assert expand(text, {}) == (text, 0)


@given(st.integers(0, 10**6), st.sampled_from([("ms", 0.001), ("s", 1), ("m", 60), ("h", 3600)]))
def test_a_duration_is_its_count_times_its_unit(count: int, unit: tuple[str, float]) -> None:
    assert parse_duration(f" {count} {unit[0]}") == count * unit[1]
