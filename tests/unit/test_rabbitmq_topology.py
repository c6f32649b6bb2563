"""Names, arguments and choices of the RabbitMQ topology."""

import pytest

from common.brokers.rabbitmq.survey import judge
from common.brokers.rabbitmq.topology import (
    Names,
    choose_kind,
    consume_arguments,
    exchanges,
    names,
    parse_version,
    standing_queues,
    work_queue,
)

NAMES = Names(namespace="lh")


def test_the_names_are_those_of_the_design() -> None:
    made = names("lh", ["exports"])
    assert {"lh.v1.jobs", "lh.v1.back", "lh.v1.dead", "lh.v1.unrouted"} < set(made.exchanges)
    assert {"lh.v1.q.exports", "lh.v1.retry.1000", "lh.v1.dead"} < set(made.queues)


def test_the_footprint_is_what_is_declared() -> None:
    made = names("lh", ["exports"])
    declared = {queue.name for queue in standing_queues(NAMES, "classic")}
    declared.add(work_queue(NAMES, "exports", "classic").name)
    assert set(made.queues) == declared
    assert set(made.exchanges) == {exchange.name for exchange in exchanges(NAMES)}


@pytest.mark.parametrize("kind", ["classic", "quorum"])
def test_no_work_queue_has_a_maximum_length(kind: str) -> None:
    queue = work_queue(NAMES, "exports", "quorum" if kind == "quorum" else "classic")
    assert "x-max-length" not in queue.arguments
    assert queue.arguments["x-dead-letter-exchange"] == "lh.v1.dead"


def test_a_returned_publish_raises_and_a_lost_lane_token_is_caught() -> None:
    by_name = {exchange.name: exchange for exchange in exchanges(NAMES)}
    assert by_name["lh.v1.jobs"].arguments == {}
    assert by_name["lh.v1.back"].arguments == {"alternate-exchange": "lh.v1.unrouted"}


@pytest.mark.parametrize(
    ("text", "version"),
    [("4.3.6", (4, 3)), ("3.10.8", (3, 10)), ("4.4.0-rc.1", (4, 4)), ("", (0, 0)), ("x", (0, 0))],
)
def test_a_version_is_read(text: str, version: tuple[int, int]) -> None:
    assert parse_version(text) == version


def test_auto_is_quorum_where_quorum_keeps_priorities() -> None:
    assert choose_kind("auto", (4, 3)) == "quorum"
    assert choose_kind("auto", (4, 2)) == "classic"
    assert choose_kind("classic", (4, 3)) == "classic"


def test_only_a_queue_that_takes_it_is_asked_for_patience() -> None:
    assert consume_arguments("quorum", (4, 3)) == {"x-consumer-timeout": 31_536_000_000}
    assert consume_arguments("classic", (4, 3)) == {}
    assert consume_arguments("quorum", (3, 10)) == {}
    assert consume_arguments(None, (4, 3)) == {}


@pytest.mark.parametrize(
    ("version", "said"),
    [
        ("3.9.1", ["older than 3.10", "consumer_timeout = "]),
        ("3.10.8", ["consumer_timeout = "]),
        ("4.3.6", []),
    ],
)
def test_a_survey_warns_about_what_an_operator_should_change(version: str, said: list[str]) -> None:
    warnings = judge(version).warnings
    assert len(warnings) == len(said)
    assert all(part in warning for part, warning in zip(said, warnings, strict=True))


def test_a_survey_warns_about_a_queue_type_that_does_not_fit() -> None:
    assert any("priorities" in warning for warning in judge("3.10.8", "quorum").warnings)
    assert any("not replicated" in warning for warning in judge("4.3.6", "classic").warnings)
