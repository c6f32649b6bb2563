"""A pytest plugin: marks the tests that need servers, runs the quick ones first and times them."""

from pathlib import Path

import pytest

QUICK = ("unit", "contract")
# The long ones in the middle: the last to run decide how long one process works alone.
ORDER = (*QUICK, "properties", "architecture", "faults", "acceptance", "integration")
SERVERS = {"rabbit", "rabbit43", "redis_server", "redis8", "private_rabbit", "private_redis", "s3"}
TESTS = Path(__file__).resolve().parents[1]
QUICK_ONE = ("tier", "quick")  # travels with a report from the process that ran the test


class Tiers:
    """Knows which tests are quick, and adds up their time."""

    def __init__(self) -> None:
        self._count = 0
        self._seconds = 0.0

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            if needs_servers(item):
                item.add_marker("servers")
        items.sort(key=place)
        for item in items:
            if place(item)[0] == 0:
                item.user_properties.append(QUICK_ONE)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if QUICK_ONE in map(tuple, report.user_properties):
            self._count += report.when == "call"
            self._seconds += report.duration

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._count:
            terminalreporter.write_line(
                f"unit tests, and contract tests without servers: "
                f"{self._count} in {self._seconds:.1f} s"
            )


def needs_servers(item: pytest.Item) -> bool:
    """By a fixture, or by a parameter that begins with the name of one, as contract suites do."""
    names = set(getattr(item, "fixturenames", ()))
    callspec = getattr(item, "callspec", None)
    values = callspec.params.values() if callspec else ()
    names |= {value.partition(" ")[0] for value in values if isinstance(value, str)}
    return bool(names & SERVERS)


def place(item: pytest.Item) -> tuple[int, int]:
    """Quick ones, then tier by tier; folders without a place of their own come last but one."""
    path = item.path.relative_to(TESTS) if item.path.is_relative_to(TESTS) else item.path
    folder = path.parts[0]
    quick = folder in QUICK and item.get_closest_marker("servers") is None
    rank = ORDER.index(folder) if folder in ORDER else len(ORDER) - 2
    return (0 if quick else 1, rank)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Tiers(), "longhaul-tiers")
