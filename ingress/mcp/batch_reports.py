"""What Longhaul's own tools say of batches. Pure."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from common.jobs.rows import ENDED
from common.jobs.state import JobState
from ingress.batches.look import Standing
from ingress.mcp.own_tools import CANCEL, RESULT, WAIT

BATCH = "longhaul/batch"
MOST = 60_000  # bytes of results in one answer: as much as an agent may want to read
LONGEST = 8_000  # bytes of one result; the rest of it is told by its own id
ERRORS = 5  # that are told; `longhaul batches show` has more

_ROW = re.compile(rb'\{"row":(\d+),"id":"([^"]+)"')
_WORDS = {"tool_error": "with the tool's own error", "refused": "refused"}


def begun(batch: Standing) -> dict[str, Any]:
    """The answer to the call that made it, or that would have made it again."""
    job = batch.head.id
    text = (
        f"{standing(batch)} It goes on by itself and its results are kept; do not start it again. "
        f'To wait for its end, call {WAIT} with {{"ids": ["{job}"]}}; {RESULT} with '
        f'{{"id": "{job}"}} tells how far it is and gives results of its rows, {CANCEL} stops it. '
        f"(A person can use: longhaul batches show {job}.)"
    )
    return {"content": [_text(text)], "_meta": {BATCH: _facts(batch)}}


def standing(batch: Standing) -> str:
    """How far it is, or what came of it; in a few sentences."""
    head, counts = batch.head, batch.shares
    told = ", ".join(f"{counts[each]} {_WORDS.get(each, each)}" for each in ENDED if counts[each])
    rows = f"{batch.ended} of {batch.plan.rows} rows" + (f" ({told})" if told else "")
    name = f"Batch {head.id} ({head.tool})"
    if head.state is not JobState.RUNNING:
        return f"{name} has ended, {head.state}: {rows}.{_errors(batch)}"
    left = "" if batch.ends_in is None else f", about {batch.ends_in:.0f} s are left"
    hindered = f" No row can begin now: {batch.hindered}." if batch.hindered else ""
    return f"{name} is running: {rows} have ended{left}.{hindered}{_errors(batch)}"


def waited(batch: Standing) -> str:
    """How it stands, to somebody who waited for it."""
    results = f'{RESULT} with {{"id": "{batch.head.id}"}} has results of its rows.'
    if batch.head.state is not JobState.RUNNING:
        return f"{standing(batch)} {results}"
    return f'{standing(batch)} Call {WAIT} with {{"ids": ["{batch.head.id}"]}} to go on waiting.'


def results(batch: Standing, lines: Sequence[bytes], cursor: int) -> dict[str, Any]:
    """How it stands, and results of rows after the cursor, in their order."""
    shown = _that_fit(lines)
    last = row_of(shown[-1]) if shown else cursor
    text = standing(batch)
    if last < batch.plan.rows and (shown or batch.head.state is JobState.RUNNING):
        ask = f'{{"id": "{batch.head.id}", "cursor": "{last}"}}'
        text += f" Results of the rows after {last} are told by {RESULT} with {ask}."
    content = [_text(text)]
    if shown:
        content.append(_text("\n".join(_readable(line) for line in shown)))
    return {"content": content, "_meta": {BATCH: {**_facts(batch), "cursor": str(last)}}}


def cancelled(batch: Standing, *, done: bool) -> dict[str, Any]:
    head = batch.head
    said = "is cancelled" if done else f"had already ended ({head.state}); nothing was changed"
    return {"content": [_text(f"Batch {head.id} ({head.tool}) {said}.")]}


def row_of(line: bytes) -> int:
    """The number of the row whose result this is, or the beginning of it."""
    found = _ROW.match(line)
    return int(found.group(1)) if found else 0


def _that_fit(lines: Sequence[bytes]) -> Sequence[bytes]:
    """As many from the first as an answer holds; the first one always."""
    room = MOST
    for number, line in enumerate(lines):
        room -= min(len(line), LONGEST)
        if room < 0:
            return lines[:number]
    return lines


def _readable(line: bytes) -> str:
    if len(line) <= LONGEST:
        return line.decode()
    found = _ROW.match(line)
    whole = f'{RESULT} with {{"id": "{found.group(2).decode()}"}} has it whole' if found else ""
    return f"{line[:LONGEST].decode(errors='ignore')}… [cut; {whole}]"


def _errors(batch: Standing) -> str:
    return "".join(
        f" {each.count} times: {each.error} (rows {', '.join(map(str, each.rows))}"
        f"{', …' if each.count > len(each.rows) else ''})."
        for each in batch.errors[:ERRORS]
    )


def _facts(batch: Standing) -> Mapping[str, Any]:
    return {
        "id": batch.head.id,
        "tool": batch.head.tool,
        "state": str(batch.head.state),
        "rows": batch.plan.rows,
        "counts": {"waiting": batch.waiting, **{each: batch.shares[each] for each in ENDED}},
        "ends_in": batch.ends_in,
    }


def _text(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}
