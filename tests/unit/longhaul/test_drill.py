"""The parts of a drill: what counts as lost and as twice, what a plan may say, mending a fault."""

import signal
import sys
import threading
import traceback
from pathlib import Path
from typing import Any, Self, cast

import pytest

from common.clock import SystemClock
from longhaul.client import Client
from longhaul.drill.faults import Harm, harm_of
from longhaul.drill.plan import Fault, Plan, Scenario, read_plan
from longhaul.drill.probe import AGAIN, ONCE
from longhaul.drill.run import Drill, Load
from longhaul.drill.strike import Strike
from longhaul.drill.verdict import Probed, judge
from longhaul.exits import NotThereError, UsageError
from tests.support.sources import ROOT
from tests.support.waiting import wait_for


def probed(label: str, state: str, *, repeatable: bool = False, job: str = "j") -> Probed:
    return Probed(label=label, state=state, repeatable=repeatable, job=job)


class TestVerdict:
    @pytest.mark.parametrize(
        ("state", "repeatable", "lost"),
        [
            ("completed", False, False),
            ("lost", False, False),  # outcome unknown: what is promised
            ("lost", True, True),  # the router gave up on what it could have run again
            ("failed", True, False),
            ("dead", True, False),
            ("queued", False, True),
            ("running", True, True),
            ("", False, True),  # no such job any more
        ],
    )
    def test_what_is_lost(self, state: str, repeatable: bool, lost: bool) -> None:
        found = judge(
            "s", [probed("a", state, repeatable=repeatable)], {"a": 1}, first=None, all_ended=None
        )
        assert bool(found.lost) == lost
        assert found.passed != lost

    @pytest.mark.parametrize(
        ("starts", "repeatable", "twice"), [(1, False, False), (2, False, True), (9, True, False)]
    )
    def test_what_ran_twice(self, starts: int, repeatable: bool, twice: bool) -> None:
        """Also where its end was good: that is the run which nobody would have seen."""
        probe = probed("a", "completed", repeatable=repeatable)
        found = judge("s", [probe], {"a": starts}, first=1.0, all_ended=1.0)
        assert bool(found.twice) == twice
        assert found.passed != twice

    def test_what_was_never_accepted_is_not_lost(self) -> None:
        found = judge("s", [probed("a", "", job="")], {}, first=None, all_ended=None)
        assert (found.jobs, found.refused, found.passed) == (0, 1, True)

    def test_what_completed_without_a_start_is_said(self) -> None:
        found = judge("s", [probed("a", "completed")], {}, first=1.0, all_ended=1.0)
        assert found.uncounted == ("j",)


class TestPlan:
    def test_an_ordinary_one(self, tmp_path: Path) -> None:
        file = tmp_path / "plan.yaml"
        file.write_text(
            "starts: /tmp/starts\nseconds: 500ms\nscenarios:\n"
            "- {name: a, fault: kill worker}\n"
            "- {name: b, command: cut, hold: 20s, restore: mend}\n"
        )
        plan = read_plan(file)
        assert plan.seconds == 0.5
        assert [each.fault for each in plan.scenarios] == [Fault.KILL_WORKER, None]
        assert plan.scenarios[1].hold == 20

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("", "the plan"),
            ("starts: a\nscenarios: []", "scenarios"),
            ("scenarios: [{name: a, fault: kill worker}]", "starts"),
            ("starts: a\nscenarios: [{name: a}]", "either fault or command"),
            ("starts: a\nscenarios: [{name: a, fault: burn, hold: 1s}]", "scenarios.0.fault"),
            ("starts: a\nscenarios: [{name: a, command: x, hold: soon}]", "soon"),
            ("starts: a\nscenaros: []", "scenaros"),
            ("starts: [", "expected"),
        ],
    )
    def test_what_is_none_is_said_with_its_place(
        self, tmp_path: Path, text: str, said: str
    ) -> None:
        file = tmp_path / "plan.yaml"
        file.write_text(text)
        with pytest.raises(UsageError, match=r"plan\.yaml") as error:
            read_plan(file)
        assert said in str(error.value)

    def test_the_example_is_one(self) -> None:
        assert len(read_plan(ROOT / "examples" / "drill.yaml").scenarios) == 5

    def test_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="cannot be read"):
            read_plan(tmp_path / "none.yaml")


class TestStrike:
    def test_it_is_mended_at_once_when_nobody_watches_any_more(self) -> None:
        made, mended = threading.Event(), threading.Event()

        def make() -> "threading.Event":
            made.set()
            return mended

        harm = Harm(name="x", make=lambda: make().set, hold=3600.0)

        def interrupted() -> None:
            with Strike(harm, SystemClock()):
                assert made.wait(10)
                assert not mended.is_set()
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            interrupted()
        assert mended.is_set()

    def test_it_is_mended_at_once_when_its_end_is_not_waited_for(self) -> None:
        mended, me = threading.Event(), threading.get_ident()

        def waits() -> bool:
            """Whether the test's own thread has come to the end of the strike's block."""
            stack = traceback.extract_stack(sys._current_frames()[me])
            return any(frame.name == "__exit__" for frame in stack) and stack[-1].name != "__exit__"

        def interrupt() -> None:
            wait_for(waits)
            signal.pthread_kill(me, signal.SIGINT)

        harm = Harm(name="x", make=lambda: mended.set, hold=30.0)
        interrupter = threading.Thread(target=interrupt)
        interrupter.start()
        with pytest.raises(KeyboardInterrupt), Strike(harm, SystemClock()):
            pass
        interrupter.join()
        assert mended.wait(10)

    def test_a_fault_that_cannot_be_made_is_said(self) -> None:
        def make() -> None:
            raise UsageError("no such process")

        with (
            pytest.raises(UsageError, match="no such process"),
            Strike(Harm(name="x", make=make, hold=0.0), SystemClock()),
        ):
            pass

    def test_a_command_that_fails_half_way_is_mended(self, tmp_path: Path) -> None:
        cut = tmp_path / "cut"
        scenario = Scenario(name="x", command=f"touch {cut}; exit 3", restore=f"rm {cut}")
        plan = Plan(starts=tmp_path / "starts", scenarios=(scenario,))
        with pytest.raises(UsageError, match="exit status 3"):
            harm_of(scenario, plan, _nowhere).make()
        assert not cut.exists()


class Forgetful:
    """A router whose store forgets everything while it takes its fourth job."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.known: set[str] = set()
        self._forgot = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def get(self, path: str) -> dict[str, Any]:
        assert path == "/v1/tools"
        kinds = {ONCE: False, AGAIN: True}
        return {
            "tools": [
                {"name": f"drill__{name}", "backend": "drill", "repeatable": again}
                for name, again in kinds.items()
            ]
        }

    def submit(self, tool: str, arguments: dict[str, Any], key: str) -> dict[str, str]:
        assert tool.startswith("drill__")
        assert arguments["label"] in key
        if len(self.taken) == 3 and not self._forgot:
            self._forgot = True
            self.known.clear()
            raise NotThereError("no such job")
        self.taken.append(arguments["label"])
        self.known.add(str(len(self.taken)))
        return {"id": str(len(self.taken)), "state": "running"}

    def job(self, job: str) -> dict[str, str]:
        if job not in self.known:
            raise NotThereError("no such job")
        return {"state": "completed"}


def test_a_job_that_is_forgotten_while_it_is_taken_ends_no_drill() -> None:
    """It is a part of what is measured, as what was accepted before is: that is lost."""
    router = Forgetful()
    load = Load(backend="drill", jobs=2, seconds=0.0, within=0.5)
    drill = Drill(
        connect=lambda: cast("Client", router), load=load, read_starts=lambda: router.taken
    )
    report = drill.run([Harm(name="it forgets", make=lambda: None, hold=0.0)], lambda _: None)
    assert report.stopped is None
    (verdict,) = report.verdicts
    assert (verdict.jobs, verdict.lost) == (2, ("3",))


def _nowhere() -> Client:
    raise AssertionError
