"""What holds for a tool: its queue, clocks and retries, from the operator's patterns. Pure."""

import fnmatch
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, Self

from common.config.model import Clocks, Questions, Queue, Retry, Settings, TaskSupport, ToolRule
from common.config.names import SEPARATOR, expose
from common.config.validate import backends_of

__all__ = ["DEFAULT_PRIORITY", "SEPARATOR", "Rules", "ToolPolicy", "expose"]

DEFAULT_PRIORITY = 4
KEPT = 10_000  # policies


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolPolicy:
    """Everything the operator decides about one tool."""

    queue: str
    priority: int = DEFAULT_PRIORITY  # 0 to 9
    clocks: Clocks = field(default_factory=Clocks)
    retry: Retry = field(default_factory=Retry)
    repeatable: bool | None = None  # None: the tool's annotations decide, if they are trusted
    on_disconnect: Literal["keep", "cancel"] = "cancel"
    attach: bool = True  # False: an identical call is always a new job
    task: TaskSupport = "optional"
    questions: Questions = field(default_factory=Questions)

    def under(self, rule: ToolRule) -> Self:
        """This policy with what a rule says on top, field by field."""
        return type(self)(
            queue=rule.queue or self.queue,
            priority=self.priority if rule.priority is None else rule.priority,
            clocks=_clocks(self.clocks, rule.timeout),
            retry=_retry(self.retry, rule.retry),
            repeatable=self.repeatable if rule.repeatable is None else rule.repeatable,
            on_disconnect=rule.on_disconnect or self.on_disconnect,
            attach=self.attach and rule.attach is None,
            task=rule.task or self.task,
            questions=_questions(self.questions, rule.questions),
        )


class Rules:
    """The tool patterns of a configuration: in file order, a later one wins field by field."""

    def __init__(self, settings: Settings) -> None:
        self.adopt(settings)

    def adopt(self, settings: Settings) -> None:
        """From now on these hold: the configuration was read again."""
        self._namespaces = settings.namespaces
        self._rules = tuple(settings.tools.items())
        self._queues = settings.queues
        self._backends = {item.name: item for item in settings.backends if not item.disabled}
        self._timeouts = {item.name: item.timeout for item in settings.backends}
        self._policies: dict[tuple[str, str, str], ToolPolicy] = {}

    def for_tool(self, exposed_name: str, backend: str, tool: str) -> ToolPolicy:
        """The policy of a tool, also of one that is no longer in the catalogue.

        A pattern may always say `backend__tool`, also where clients see the bare name. Kept once it
        is known: it is asked for with every call.
        """
        key = exposed_name, backend, tool
        policy = self._policies.get(key)
        if policy is None:
            if len(self._policies) >= KEPT:
                self._policies.clear()
            policy = self._policies[key] = self._policy(exposed_name, backend, tool)
        return policy

    def _policy(self, exposed_name: str, backend: str, tool: str) -> ToolPolicy:
        names = {exposed_name, expose(backend, tool, namespaces=True)}
        policy = ToolPolicy(queue=backend, clocks=Clocks(run=self._timeouts.get(backend)))
        for pattern, rule in self._rules:
            if any(fnmatch.fnmatchcase(name, pattern) for name in names):
                policy = policy.under(rule)
        return policy

    def queues_of(self, backend: str, tools: Iterable[str]) -> frozenset[str]:
        """The queues that carry these tools (the backend's own names for them)."""
        return frozenset(
            self.for_tool(expose(backend, tool, namespaces=self._namespaces), backend, tool).queue
            for tool in tools
        )

    def queue_backends(self) -> dict[str, frozenset[str]]:
        """Every queue with the backends whose tools it may carry, before any tool is known.

        A backend's own queue carries it. A pattern that sends tools elsewhere names its backend by
        what stands before its first wildcard; one that names none may concern every backend.
        """
        carried = {name: {name} for name in self._backends}
        for pattern, rule in self._rules:
            if rule.queue is not None:
                concerned = backends_of(pattern, self._backends.values(), self._namespaces)
                carried.setdefault(rule.queue, set()).update(item.name for item in concerned)
        return {queue: frozenset(names) for queue, names in carried.items() if names}

    def queue(self, name: str) -> Queue:
        return self._queues.get(name) or Queue()

    def slots(self, queue: str) -> int:
        """How many jobs of a queue one worker runs at once, unless its command line says."""
        slots = self.queue(queue).slots
        if slots is not None:
            return slots
        names = self.queue_backends().get(queue, frozenset())
        return max(1, sum(self._backends[name].capacity for name in names))


def _clocks(under: Clocks, over: Clocks | None) -> Clocks:
    """The clocks a rule names on top; an explicit null takes a limit away."""
    return under if over is None else under.model_copy(update=_said(over))


def _retry(under: Retry, over: Retry | None) -> Retry:
    return under if over is None else under.model_copy(update=_said(over))


def _questions(under: Questions, over: Questions | None) -> Questions:
    return under if over is None else under.model_copy(update=_said(over))


def _said(section: Clocks | Retry | Questions) -> dict[str, object]:
    return {name: getattr(section, name) for name in section.model_fields_set}
