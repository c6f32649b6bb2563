"""What people read of a batch: counts, pace, errors and the rows that they are about."""

from datetime import UTC, datetime
from typing import Any

from rich.console import Console, RenderableType

from longhaul.screen.batches import (
    batch_card,
    batch_end,
    batch_list,
    batch_moved,
    count_words,
    ended_rows,
    failed_rows,
    pace_words,
    retry_words,
)

NOW = datetime(2026, 11, 21, 12, 0, 30, tzinfo=UTC)
BATCH: dict[str, Any] = {
    "id": "01m7xr7f6hbjvzbyx03jxr",
    "tool": "exporter__export",
    "state": "running",
    "rows": 100_000,
    "created": 40_256,
    "counts": {
        "waiting": 256,
        "completed": 39_990,
        "tool_error": 7,
        "failed": 0,
        "cancelled": 0,
        "lost": 0,
        "dead": 1,
        "refused": 2,
    },
    "rate": 410.4,
    "ends_in": 146.0,
    "errors": [
        {"error": "no such [dataset]", "count": 7, "rows": [3, 17]},
        {"error": "line 21: not JSON", "count": 1, "rows": [21]},
    ],
    "created_at": "2026-11-21T11:58:30.000Z",
    "finished_at": None,
}
ENDED = {**BATCH, "state": "completed", "rate": 0, "ends_in": None} | {
    "finished_at": "2026-11-21T12:00:30.000Z"
}


def text_of(renderable: RenderableType) -> str:
    console = Console(width=160, no_color=True)
    with console.capture() as captured:
        console.print(renderable)
    return captured.get()


def test_counts_and_pace() -> None:
    assert (ended_rows(BATCH), failed_rows(BATCH)) == (40_000, 10)
    assert count_words(BATCH) == "39,990 completed · 7 tool errors · 2 broken rows · 1 dead"
    assert pace_words(BATCH) == "410 rows/s, about 2 min left"
    assert pace_words({**BATCH, "rate": 0.25, "ends_in": None}) == "0.2 rows/s"
    assert pace_words({**BATCH, "rate": 0, "ends_in": None}) == ""
    assert pace_words(ENDED) == "completed"


def test_a_card_says_how_far_it_is() -> None:
    shown = text_of(batch_card(BATCH, NOW))
    for words in ("40,000 of 100,000 ended  (40 %)", "256", "410 rows/s", "no such [dataset]"):
        assert words in shown
    assert "waits" not in shown
    stuck = {**BATCH, "waiting_because": "queue exports is full"}
    assert "queue exports is full" in text_of(batch_card(stuck, NOW))
    assert "queue exports is full" in batch_moved(stuck).remark
    unknown = text_of(batch_card({**BATCH, "rows": None}, NOW))
    assert "40,000 of ? ended" in unknown


def test_errors_name_their_rows_and_whether_there_are_more() -> None:
    lines = text_of(batch_end(ENDED, NOW)).splitlines()
    assert "completed" in lines[0]
    assert lines[0].endswith("in 2 min")
    assert [line.split() for line in lines[-2:]] == [
        ["7", "no", "such", "[dataset]", "3,", "17,", "…"],
        ["1", "line", "21:", "not", "JSON", "21"],
    ]


def test_what_could_run_again_is_told_and_nothing_else() -> None:
    nothing = dict.fromkeys(BATCH["counts"], 0)

    def told(state: str = "completed", **counts: int) -> list[str]:
        return list(retry_words({**ENDED, "state": state, "counts": {**nothing, **counts}}))

    assert told(completed=9) == told(refused=2) == told("cancelled", failed=1, lost=1) == []
    for share in ("tool_error", "failed", "dead"):
        (words,) = told("completed", **{share: 1})
        assert words.endswith(f"longhaul batches retry {BATCH['id']}")
    (lost,) = told(lost=1)
    assert lost.endswith(f"longhaul batches retry {BATCH['id']} --lost")
    assert len(told(lost=1, failed=1)) == 2


def test_a_list_has_the_one_thing_to_know() -> None:
    shown = text_of(batch_list([BATCH, ENDED], NOW)).splitlines()
    assert shown[1].rstrip().endswith("410 rows/s, about 2 min left, 10 failed")
    assert shown[2].rstrip().endswith("10 failed")
