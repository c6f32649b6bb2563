"""The judge of the conformance run follows the suite's own rule for expected failures."""

import pytest

from tests.conformance.verdict import Check, Verdict, judge, unknown


def check(id_: str, status: str) -> Check:
    return Check(id=id_, status=status, errorMessage="why")


GOOD = [check("a", "SUCCESS"), check("b", "SUCCESS")]
HALF = [check("a", "SUCCESS"), check("b", "FAILURE")]
WARNED = [check("a", "WARNING")]
UNREACHED = [check("a", "SUCCESS"), check("b", "SKIPPED")]


@pytest.mark.parametrize(
    ("checks", "expected", "verdict"),
    [
        (GOOD, [], Verdict.PASSED),
        (GOOD, ["other", "s2:a"], Verdict.PASSED),
        (HALF, [], Verdict.UNEXPECTED),
        (WARNED, [], Verdict.UNEXPECTED),
        (HALF, ["s"], Verdict.EXPECTED),
        (GOOD, ["s"], Verdict.STALE),
        (HALF, ["s:b"], Verdict.EXPECTED),
        (HALF, ["s:a"], Verdict.UNEXPECTED),
        (GOOD, ["s:b"], Verdict.STALE),
        (UNREACHED, ["s:b"], Verdict.PASSED),
        ([*HALF, check("b", "SUCCESS")], ["s:b"], Verdict.EXPECTED),
    ],
)
def test_judges_as_the_suite_does(
    checks: list[Check], expected: list[str], verdict: Verdict
) -> None:
    assert judge("s", checks, expected).verdict is verdict


def test_says_which_check_failed_and_why() -> None:
    assert judge("s", HALF, []).reasons == ("b: why",)


def test_finds_entries_that_no_revision_runs() -> None:
    assert unknown(["s", "s:a", "slip"], ["s"]) == ["slip"]
