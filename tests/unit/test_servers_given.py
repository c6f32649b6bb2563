"""Which servers the tests use is read from the environment once."""

import pytest

from tests.support.private import NoServerError
from tests.support.servers import Given, new_redis, take_given


def test_the_tests_own_variables_come_before_longhauls() -> None:
    environment = {
        "LONGHAUL_TEST_BROKER_URL": "amqp://one/",
        "LONGHAUL_BROKER_URL": "amqp://two/",
        "LONGHAUL_STORE_URL": "redis://three",
    }
    assert take_given(environment) == Given(broker="amqp://one/", store="redis://three")


def test_an_embedded_address_gives_no_server() -> None:
    environment = {"LONGHAUL_BROKER_URL": "memory:", "LONGHAUL_STORE_URL": "sqlite:///x"}
    assert take_given(environment) == Given(broker=None, store=None)


def test_the_test_processes_that_this_one_starts_are_given_the_same() -> None:
    environment = {"LONGHAUL_BROKER_URL": "amqp://one/", "LONGHAUL_STORE_URL": "redis://two"}
    given = take_given(environment)
    assert take_given(environment) == given == Given(broker="amqp://one/", store="redis://two")


def test_longhauls_variables_do_not_reach_the_tests() -> None:
    environment = {"LONGHAUL_API_KEY": "k", "LONGHAUL_TEST_RABBITMQ43": "/f", "HOME": "/h"}
    take_given(environment)
    assert environment == {"LONGHAUL_TEST_RABBITMQ43": "/f", "HOME": "/h"}


def test_without_any_server_there_is_one_line_of_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")  # no redis-server, no apt-get
    monkeypatch.setattr("tests.support.servers.engine_answers", lambda: False)
    with pytest.raises(NoServerError, match=r"install redis-server .* LONGHAUL_TEST_STORE_URL"):
        new_redis()
