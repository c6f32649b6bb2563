"""`/v1/dead-letters`: jobs that need a person. Look, replay, drop."""

from base64 import b64encode
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response

from common.jobs.head import Head
from ingress.api import letter_shapes as shapes
from ingress.api.access import CurrentCaller, TheIngress
from ingress.api.job_view import checkpoint_of, rfc3339, rfc3339_or_none
from ingress.api.json_body import JsonRoute
from ingress.api.shapes import JobError
from ingress.errors import MALFORMED, MEDIA_TYPE, respond
from ingress.operations.dead_letters import Letter
from ingress.operations.letters import Group, Replay, is_token, kind_of
from ingress.operations.read import is_cursor
from ingress.operations.tries import Try

_PROBLEM: dict[str, Any] = {"description": "A problem", "content": {MEDIA_TYPE: {}}}
_NO_CURSOR = MALFORMED.saying("cursor is not one that a page gave out")
MANY = 200  # letters of one request

router = APIRouter(
    prefix="/dead-letters",
    tags=["dead letters"],
    responses=dict.fromkeys((404, 422, 503), _PROBLEM),
    route_class=JsonRoute,
)


class _Asked(shapes.Filter):
    group: Literal["error"] | None = None
    limit: Annotated[int, Query(ge=1, le=500)] = 50
    cursor: str | None = None


@router.get("", response_model=shapes.DeadLetters)
async def list_letters(
    asked: Annotated[_Asked, Query()], ingress: TheIngress, caller: CurrentCaller
) -> shapes.DeadLetters | Response:
    """The newest first; with `group=error` counted by what they died of."""
    if asked.cursor is not None and not is_cursor(asked.cursor):
        return respond(_NO_CURSOR)
    letters, wanted = ingress.dead_letters, asked.wanted(ingress.runtime.clock.now())
    if asked.group is not None:
        groups, complete = await letters.groups(caller, wanted)
        shown = [_group(each) for each in groups]
        return shapes.DeadLetters(letters=[], groups=shown, complete=complete, cursor=None)
    found = await letters.list(caller, wanted, limit=asked.limit, cursor=asked.cursor)
    listed = [shapes.DeadLetter(**_letter(head)) for head in found.heads]
    return shapes.DeadLetters(letters=listed, groups=None, complete=True, cursor=found.cursor)


@router.get("/{letter_id}")
async def get_letter(
    letter_id: str, ingress: TheIngress, caller: CurrentCaller
) -> shapes.WholeLetter:
    """What, why, and every try with its error and worker."""
    return _whole(await ingress.dead_letters.whole(letter_id, caller))


@router.post("/replay")
async def replay_letters(
    body: shapes.ReplayMany, ingress: TheIngress, caller: CurrentCaller
) -> shapes.ReplayedMany:
    """Run many again, each as a new job and none twice; `dry_run` says what would happen."""
    letters, cursor = body.ids, None
    if letters is None:
        wanted = body.wanted(ingress.runtime.clock.now())
        found = await ingress.dead_letters.list(caller, wanted, limit=MANY, cursor=body.cursor)
        letters, cursor = [head.id for head in found.heads], found.cursor
    came_of = await ingress.dead_letters.replay_many(
        letters, caller, dry_run=body.dry_run, lost=body.lost, from_start=body.from_start
    )
    return shapes.ReplayedMany(
        dry_run=body.dry_run, letters=[_replayed(each) for each in came_of], cursor=cursor
    )


@router.post(
    "/{letter_id}/replay",
    status_code=202,
    responses={200: {"model": shapes.Replayed}, 409: _PROBLEM, 429: _PROBLEM},
)
async def replay_letter(
    letter_id: str,
    response: Response,
    ingress: TheIngress,
    caller: CurrentCaller,
    body: shapes.ReplayOne | None = None,
) -> shapes.Replayed:
    """Run it again as a new job. 200, and the same job, if it had been replayed before."""
    asked = body or shapes.ReplayOne()
    replay = await ingress.dead_letters.replay(
        letter_id,
        caller,
        arguments=asked.arguments,
        lost=asked.lost,
        from_start=asked.from_start,
    )
    response.headers["location"] = f"/v1/jobs/{replay.job}"
    if not replay.new:
        response.status_code = 200
    return _replayed(replay)


@router.delete("/{letter_id}")
async def drop_letter(
    letter_id: str, ingress: TheIngress, caller: CurrentCaller
) -> shapes.DeadLetter:
    """Forget it, with everything that is kept of the job; what it was."""
    return shapes.DeadLetter(**_letter(await ingress.dead_letters.drop(letter_id, caller)))


def _letter(head: Head) -> dict[str, Any]:
    spec = head.spec
    token = is_token(head)
    return {
        "id": head.id,
        "kind": kind_of(head),
        "tool": head.tool or None,
        "queue": head.queue,
        "caller": head.caller or None,
        "error": head.reason,
        "tries": head.tries,
        "attempts": None if token else spec.attempts,
        "repeatable": spec.repeatable,
        "repeatable_from": spec.repeatable_from,
        "created_at": rfc3339(head.created_at),
        "died_at": rfc3339(head.finished_at),
        "checkpoint": checkpoint_of(head),
        "replay_of": spec.replay_of or None,
        "replayed_as": head.replayed_as or None,
    }


def _whole(letter: Letter) -> shapes.WholeLetter:
    call, error = letter.call, letter.error
    arguments = None if call is None or call.arguments is None else dict(call.arguments)
    return shapes.WholeLetter(
        **_letter(letter.head),
        arguments=arguments,
        job_error=None if error is None else JobError.model_validate(error),
        history=[_try(each) for each in letter.tries],
        history_complete=letter.all_tries,
        raw=None if letter.raw is None else b64encode(letter.raw).decode(),
    )


def _try(each: Try) -> shapes.Try:
    return shapes.Try(
        worker=each.worker,
        started_at=rfc3339(each.started_at),
        ended_at=rfc3339_or_none(each.ended_at),
        ended=each.ended,
        why=each.why,
        error=None if each.error is None else JobError.model_validate(each.error),
    )


def _group(each: Group) -> shapes.LetterGroup:
    return shapes.LetterGroup(
        kind=each.kind,
        tool=each.tool or None,
        error=each.error,
        count=each.count,
        first_at=rfc3339(each.first),
        last_at=rfc3339(each.last),
        letters=list(each.letters),
    )


def _replayed(each: Replay) -> shapes.Replayed:
    return shapes.Replayed(
        id=each.letter,
        job=each.job or None,
        new=bool(each.job) and each.new,
        refused=each.refused or None,
        again=each.again,
        missing=each.missing,
    )
