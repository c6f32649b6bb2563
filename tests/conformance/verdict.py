"""Judging a run of the suite by the failures that were expected of it.

The suite's own rule (its README, "Expected Failures"), applied to every scenario that ran: the
suite leaves out those that a revision does not score, and a router must not lose those either.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypedDict


class Check(TypedDict):
    """What is read of an entry of the suite's `checks.json`."""

    id: str
    status: str  # SUCCESS, FAILURE, WARNING, SKIPPED or INFO
    errorMessage: str


class Verdict(StrEnum):
    PASSED = "passed"
    EXPECTED = "failed as expected"
    UNEXPECTED = "failed"
    STALE = "passes, but is listed as a failure"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    scenario: str
    verdict: Verdict
    reasons: tuple[str, ...] = ()


def _failing(checks: Iterable[Check]) -> dict[str, str]:
    return {
        check["id"]: check.get("errorMessage", "")
        for check in checks
        if check["status"] in {"FAILURE", "WARNING"}
    }


def judge(scenario: str, checks: Sequence[Check], expected: Iterable[str]) -> Judged:
    """One scenario against the entries `<scenario>` and `<scenario>:<check>` of the list.

    A listed check that was skipped or never reached is neither stale nor a failure.
    """
    failing = _failing(checks)
    entries = {entry for entry in expected if entry.partition(":")[0] == scenario}
    if scenario in entries:
        verdict = Verdict.EXPECTED if failing else Verdict.STALE
        return Judged(scenario=scenario, verdict=verdict)
    excused = {entry.partition(":")[2] for entry in entries}
    passing = {check["id"] for check in checks if check["status"] == "SUCCESS"} - set(failing)
    if unexpected := {id_: why for id_, why in failing.items() if id_ not in excused}:
        reasons = tuple(f"{id_}: {why}" for id_, why in unexpected.items())
        return Judged(scenario=scenario, verdict=Verdict.UNEXPECTED, reasons=reasons)
    if stale := excused & passing:
        return Judged(scenario=scenario, verdict=Verdict.STALE, reasons=tuple(sorted(stale)))
    verdict = Verdict.EXPECTED if failing else Verdict.PASSED
    return Judged(scenario=scenario, verdict=verdict)


def unknown(expected: Iterable[str], scenarios: Iterable[str]) -> list[str]:
    """Entries for scenarios that no revision runs: a slip in the list."""
    known = set(scenarios)
    return [entry for entry in expected if entry.partition(":")[0] not in known]


def count(judged: Iterable[Judged]) -> Mapping[Verdict, int]:
    verdicts = [each.verdict for each in judged]
    return {verdict: verdicts.count(verdict) for verdict in Verdict}
