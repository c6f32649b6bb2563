"""A replay of a dead letter goes on from the letter's checkpoint, where that is still of use."""

from typing import Any

import pytest

from common.jobs.change import Note
from common.jobs.checkpoint import CHECKPOINT, stored
from common.jobs.endings import bury
from tests.support.surfaces import Surface

pytestmark = pytest.mark.anyio

GONE = {"code": -31_002, "message": "the backend went away"}
LETTERS = "/v1/dead-letters"


async def checkpointed(rest: Surface, body: bytes, **arguments: Any) -> str:
    """A dead letter whose tool said how far it was."""
    job = str((await rest.submit(**arguments))["id"])
    head = await rest.start(job)
    note = Note(claim=head.claims, fields=stored(body), checkpoint=body)
    assert await rest.runtime.store.note(job, note)
    await rest.commit(job, bury(await rest.head(job), GONE, rest.retention))
    return job


@pytest.mark.parametrize(
    ("asked", "begins"),
    [
        ({}, b'{"row":3}'),
        ({"from_start": True}, None),
        ({"arguments": {"rows": 6}}, None),  # it may be of something else
    ],
)
async def test_a_replay_goes_on_from_the_letters_checkpoint(
    anywhere: Surface, asked: dict[str, Any], begins: bytes | None
) -> None:
    letter = await checkpointed(anywhere, b'{"row":3}', rows=5)
    (listed_one,) = (await anywhere.http.get(LETTERS)).json()["letters"]
    assert listed_one["checkpoint"]["bytes"] == 9
    job = (await anywhere.http.post(f"{LETTERS}/{letter}/replay", json=asked)).json()["job"]
    assert await anywhere.runtime.store.part(job, CHECKPOINT) == begins
    shown = (await anywhere.http.get(f"/v1/jobs/{job}")).json()
    assert (shown["checkpoint"] or {}).get("bytes") == (len(begins) if begins else None)
    assert shown["checkpoint"] is None or shown["checkpoint"]["at"] == shown["created_at"]


async def test_many_replays_go_on_from_checkpoints_too(anywhere: Surface) -> None:
    letters = [await checkpointed(anywhere, b"[7]") for _ in range(2)]
    for letter, from_start in zip(letters, (False, True), strict=True):
        body = {"ids": [letter], "from_start": from_start}
        (came,) = (await anywhere.http.post(f"{LETTERS}/replay", json=body)).json()["letters"]
        kept = await anywhere.runtime.store.part(came["job"], CHECKPOINT)
        assert kept == (None if from_start else b"[7]")
