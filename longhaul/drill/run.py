"""The drill: probes before and during each fault, followed to their ends as any caller would."""

import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from common.clock import SystemClock
from longhaul.client import Client
from longhaul.drill.faults import Connect, Harm
from longhaul.drill.probe import AGAIN, ONCE
from longhaul.drill.strike import Strike
from longhaul.drill.verdict import Probed, Verdict, judge
from longhaul.exits import BY_STATE, CommandError, NotThereError, UnreachableError, UsageError

LOOK = 0.1  # seconds between two looks at the probes; so fine are the times
# A store that forgot everything has no such tool, nor the job that was just being accepted.
_AWAY = (UnreachableError, NotThereError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What each scenario is tried with."""

    backend: str
    jobs: int
    seconds: float  # that a probe takes
    within: float  # seconds after the fault, for all to end


@dataclass(slots=True, kw_only=True)
class _Probe:
    label: str
    tool: str
    repeatable: bool
    job: str = ""
    state: str = ""

    @property
    def open(self) -> bool:
        return self.state not in BY_STATE


@dataclass(frozen=True, slots=True, kw_only=True)
class _Course:
    scenario: str
    probes: Sequence[_Probe]
    first: float | None
    all_ended: float | None


@dataclass(frozen=True, slots=True)
class Report:
    verdicts: Sequence[Verdict]
    stopped: CommandError | None  # why there are no more: the probes do not work, no such fault


@dataclass(slots=True)
class Drill:
    """`read_starts` answers every line that the probes have written."""

    connect: Connect
    load: Load
    read_starts: Callable[[], Iterable[str]]
    clock: SystemClock = field(default_factory=SystemClock)
    _tools: Mapping[str, bool] = field(default_factory=dict)  # whether each may run again

    def run(self, harms: Sequence[Harm], seen: Callable[[str], None]) -> Report:
        """One scenario after the other. Double runs are looked for at the end of all.

        Raises:
            UsageError: The deployment has no probes, or the starts cannot be read.
            UnreachableError: No router answers, before there is a fault.
        """
        self._tools = self._find_tools()
        courses: list[_Course] = []
        stopped: CommandError | None = None
        for number, harm in enumerate(harms, 1):
            seen(f"{number}/{len(harms)} {harm.name}")
            try:
                self._warm_up()
                courses.append(self._course(harm))
            except CommandError as error:
                stopped = error
                break
        starts = Counter(self.read_starts())
        return Report([_verdict(course, starts) for course in courses], stopped)

    def _find_tools(self) -> Mapping[str, bool]:
        with self.connect() as router:
            listed = router.get("/v1/tools")["tools"]
        found = {
            tool["name"]: tool["repeatable"]
            for tool in listed
            if tool["backend"] == self.load.backend and tool["name"].endswith((ONCE, AGAIN))
        }
        if not found:
            raise UsageError(
                f"no backend {self.load.backend} with the tools {ONCE} and {AGAIN}: let the router "
                "run the probes, under mcpServers: "
                f"{self.load.backend}: {{command: longhaul, args: [drill, probe, FILE]}}"
            )
        return found

    def _probes(self, count: int) -> list[_Probe]:
        """As many of each kind, in an order that no broker's turns over workers coincide with."""
        nonce, chance = secrets.token_hex(6), secrets.SystemRandom()
        kinds: list[tuple[str, bool]] = []
        while len(kinds) < count:
            kinds += chance.sample(sorted(self._tools.items()), k=len(self._tools))
        return [
            _Probe(label=f"{nonce}.{number}", tool=name, repeatable=repeatable)
            for number, (name, repeatable) in enumerate(kinds[:count])
        ]

    def _warm_up(self) -> None:
        """One probe of each kind, to its end: what is found later comes from the fault."""
        probes = self._probes(len(self._tools))
        with self.connect() as router:
            until = self.clock.monotonic() + self.load.within
            while any(probe.open for probe in probes) and self.clock.monotonic() < until:
                with suppress(*_AWAY):  # what the last fault left behind
                    self._send(router, [each for each in probes if not each.job], seconds=0)
                    self._look(router, probes)
                self.clock.pause(LOOK)
        bad = next((probe for probe in probes if probe.state != "completed"), None)
        if bad is not None:
            raise UsageError(
                f"a probe does not complete without any fault: job {bad.job or '(not accepted)'} "
                f"is {bad.state or 'unknown'}; see longhaul jobs show"
            )
        if not {probe.label for probe in probes} <= set(self.read_starts()):
            raise UsageError(
                "a probe completed, but its start was not found: is it the right file?"
            )

    def _course(self, harm: Harm) -> _Course:
        probes = self._probes(self.load.jobs)
        early = probes[: len(probes) // 2]
        with self.connect() as router:
            self._send(router, early)
            until = self.clock.monotonic() + self.load.within
            while not any(probe.state == "running" for probe in early):
                if self.clock.monotonic() > until:
                    raise UsageError(f"no probe begins within {self.load.within:g} s")
                self._look(router, early)
                if not any(probe.open for probe in early):
                    break  # quicker than a look: the others see the fault
                self.clock.pause(LOOK)
            with Strike(harm, self.clock) as strike:
                first, all_ended = self._follow(router, probes, strike)
        return _Course(scenario=harm.name, probes=probes, first=first, all_ended=all_ended)

    def _follow(
        self, router: Client, probes: Sequence[_Probe], strike: Strike
    ) -> tuple[float | None, float | None]:
        """When the first completed, and when all had ended: seconds after the fault began."""
        done = sum(probe.state == "completed" for probe in probes)
        first: float | None = None
        while any(probe.open for probe in probes) and strike.elapsed < self.load.within:
            strike.check()
            with suppress(*_AWAY):  # a part of what is measured
                self._send(router, [probe for probe in probes if not probe.job])
            with suppress(UnreachableError):  # also while none can be sent
                self._look(router, probes)
            if first is None and sum(probe.state == "completed" for probe in probes) > done:
                first = strike.elapsed
            self.clock.pause(LOOK)
        return first, None if any(probe.open for probe in probes) else strike.elapsed

    def _send(
        self, router: Client, probes: Iterable[_Probe], *, seconds: float | None = None
    ) -> None:
        """Each with a key of its own: one whose answer was lost is the same job again."""
        duration = self.load.seconds if seconds is None else seconds
        for probe in probes:
            arguments = {"label": probe.label, "seconds": duration}
            made = router.submit(probe.tool, arguments, key=f"drill.{probe.label}")
            probe.job, probe.state = made["id"], made["state"]

    def _look(self, router: Client, probes: Iterable[_Probe]) -> None:
        for probe in probes:
            if probe.job and probe.open:
                try:
                    probe.state = router.job(probe.job)["state"]
                except NotThereError:
                    probe.state = ""


def _verdict(course: _Course, starts: Mapping[str, int]) -> Verdict:
    probed = [
        Probed(label=probe.label, repeatable=probe.repeatable, job=probe.job, state=probe.state)
        for probe in course.probes
    ]
    return judge(course.scenario, probed, starts, first=course.first, all_ended=course.all_ended)
