"""What a configuration may say about questions of tools."""

from pathlib import Path

from tests.support.configuration import load, refused


def rule(text: str) -> str:
    return f"tools:\n  'b__*':\n    questions: {text}\n"


def test_a_deadline_and_a_default_answer(tmp_path: Path) -> None:
    text = rule("{deadline: 5m, default: {action: accept, content: {ok: true}}}")
    questions = load(tmp_path, text).settings.tools["b__*"].questions
    assert questions is not None
    assert questions.deadline == 300.0
    assert questions.default == {"action": "accept", "content": {"ok": True}}
    plain = load(tmp_path, rule("{default: null}")).settings.tools["b__*"].questions
    assert plain is not None
    assert (plain.deadline, plain.default) == (3_600.0, None)


def test_a_default_that_could_answer_nothing_is_refused_where_it_stands(tmp_path: Path) -> None:
    (problem,) = refused(tmp_path, rule("{default: {ok: true}}"))
    assert problem.key == "tools.b__*.questions.default"
    assert "should be an answer as the protocol has it" in str(problem)


def test_an_unknown_key_has_its_neighbour_named(tmp_path: Path) -> None:
    (problem,) = refused(tmp_path, rule("{dedline: 5m}"))
    assert (problem.line, problem.nearest) == (3, "deadline")
    assert refused(tmp_path, rule("{deadline: 0s}"))
