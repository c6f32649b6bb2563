"""Checks beyond the form of a configuration."""

import pytest

from common.config.model import ApiKey, Backend, Batches, Documents, Listen, Settings
from common.config.validate import backends_of, check_listen, check_names, check_urls, collisions


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "localhost", "::1", "[::1]"])
def test_loopback_needs_no_key(host: str) -> None:
    assert check_listen(Listen(host=host)) is None


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "router.internal"])  # noqa: S104 - never opened
def test_another_host_needs_a_key_or_a_word(host: str) -> None:
    problem = check_listen(Listen(host=host))
    assert problem is not None
    assert problem.key == "listen.host"
    assert "LONGHAUL_API_KEY" in problem.message
    assert check_listen(Listen(host=host, insecure_no_auth=True)) is None
    assert check_listen(Listen(host=host, api_keys=(ApiKey(key="k", caller="c"),))) is None


def test_names_that_clients_refuse_are_warned_of() -> None:
    tools = [("a", "ok"), ("a", "x" * 62), ("a", "with.dot"), ("a", "x" * 61)]
    assert [problem.message.split()[2] for problem in check_names(tools, namespaces=True)] == [
        f"a__{'x' * 62}",
        "a__with.dot",
    ]


def test_bare_names_that_collide_name_both_backends() -> None:
    tools = [("a", "read"), ("b", "read"), ("b", "write"), ("a", "read")]
    assert list(collisions(tools, namespaces=True)) == []
    (problem,) = collisions(tools, namespaces=False)
    assert "backends a and b" in problem.message


def test_names_can_collide_with_namespaces_too() -> None:
    (problem,) = collisions([("a__b", "c"), ("a", "b__c")], namespaces=True)
    assert "a__b__c" in problem.message


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("exporter__export_*", {"exporter"}),
        ("exporter__x", {"exporter"}),
        ("*__export", {"exporter", "export"}),
        ("export*", {"exporter", "export"}),
        ("export_?*", {"export"}),
        ("[e]xporter__x", {"exporter", "export"}),
        ("export", set()),
        ("other__*", set()),
    ],
)
def test_what_stands_before_the_wildcard_names_the_backend(pattern: str, names: set[str]) -> None:
    backends = [Backend(name=name, command="x") for name in ("exporter", "export")]
    assert {item.name for item in backends_of(pattern, backends, namespaces=True)} == names
    assert len(backends_of(pattern, backends, namespaces=False)) == 2


@pytest.mark.parametrize(
    ("url", "refused"),
    [("s3://b/p", {"documents.max_size"}), ("gs://b", set()), ("file:///b", set())],
)
def test_what_s3_could_not_copy_is_refused_before_it_comes(url: str, refused: set[str]) -> None:
    large, largest = Documents(max_size=5 * 1024**3 + 1), Batches(max_size=5 * 1024**3)
    settings = Settings(
        broker_url="memory:",
        store_url="sqlite:////x/y.db",
        blob_url=url,
        documents=large,
        batches=largest,
    )
    assert {problem.key for problem in check_urls(settings)} == refused
