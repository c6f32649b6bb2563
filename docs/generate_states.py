"""Writes the states of a job into operate.md and how-it-works.md: python -m docs.generate_states.

Both come from `common/jobs/state.py`: the table of moves, and what stands below each state there.
`tests/unit/test_docs.py` fails when a page is stale.
"""

import ast
import inspect
import re
from pathlib import Path

from common.jobs import state
from common.jobs.state import MOVES, JobState

HERE = Path(__file__).parent
PAGES = (HERE / "operate.md", HERE / "how-it-works.md")
_MARKED = re.compile(r"(<!-- states: (?P<form>table|diagram) -->\n).*?(<!-- end -->)", re.DOTALL)


def fresh(page: str) -> str:
    """The page with its marked parts made anew."""
    forms = {"table": table, "diagram": diagram}
    return _MARKED.sub(lambda found: found[1] + forms[found["form"]]() + found[3], page)


def table() -> str:
    said = meanings()
    rows = ["| state | means, and what moves it on | may become |", "|---|---|---|"]
    for each in JobState:
        after = ", ".join(f"`{move}`" for move in JobState if move in MOVES[each] and move != each)
        rows.append(f"| `{each}` | {said[each]} | {after or 'nothing: it has ended'} |")
    return "\n".join(rows) + "\n"


def diagram() -> str:
    moves = [
        f"    {before} --> {after}"
        for before in JobState
        for after in JobState
        if after in MOVES[before]
    ]
    return "\n".join(["```mermaid", "stateDiagram-v2", "    [*] --> queued", *moves, "```", ""])


def meanings() -> dict[JobState, str]:
    """The sentence below each state in its source."""
    body = ast.parse(inspect.getsource(state)).body
    states = next(each for each in body if isinstance(each, ast.ClassDef))
    found: dict[JobState, str] = {}
    for line, words in zip(states.body, states.body[1:], strict=False):
        match line, words:
            case (
                ast.Assign(targets=[ast.Name(id=name)]),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                found[JobState[name]] = text
    return found


if __name__ == "__main__":
    for each in PAGES:
        each.write_text(fresh(each.read_text()))
