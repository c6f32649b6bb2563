"""Job ids: sortable by time, unguessable, and naming their shard."""

from common.jobs.ids import SHARDS, is_job_id, new_job_id, shard_of

NOW = 1_790_000_000_000


def test_ids_of_one_moment_differ() -> None:
    assert len({new_job_id(NOW) for _ in range(1_000)}) == 1_000


def test_ids_sort_by_the_time_of_their_creation() -> None:
    times = [0, 1, 31, 32, NOW - 1, NOW, NOW + 1, NOW * 10]
    ids = [new_job_id(time)[1:] for time in times]
    assert ids == sorted(ids)


def test_an_id_is_one() -> None:
    job_id = new_job_id(NOW)
    assert is_job_id(job_id)
    assert 0 <= int(shard_of(job_id), 32) < SHARDS


def test_what_is_no_id() -> None:
    job_id = new_job_id(NOW)
    for text in ("", job_id[1:], job_id + "0", job_id.upper() + "!", "l" * 22, "{" + job_id[1:]):
        assert not is_job_id(text), text
