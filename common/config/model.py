"""The configuration, read once and frozen: what the rest of the program may ask of it.

Durations are seconds (`float`) once parsed; the file may write `30s`, `10m`, `24h`, `500ms`.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from common.config.duration import parse_duration

Duration = Annotated[float, BeforeValidator(parse_duration), Field(ge=0)]
Balance = Literal["round-robin", "least-busy", "latency", "priority", "affinity"]
TaskSupport = Literal["optional", "required", "never", "after_input"]


class _Frozen(BaseModel):
    """A section of the file: an unknown key is an error, a value never changes."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Probe(_Frozen):
    tool: str
    arguments: dict[str, Any] = Field(default_factory=dict)


class Health(_Frozen):
    interval: Duration = 30.0
    timeout: Duration = 5.0
    unhealthy_after: int = Field(default=3, ge=1)
    probe: Probe | None = None


class Breaker(_Frozen):
    failures: int = Field(default=5, ge=1)
    cooldown: Duration = 30.0


class BackendDefaults(_Frozen):
    """What every backend gets unless it says otherwise."""

    replicas: int = Field(default=1, ge=1, le=256)  # per worker
    concurrency: int = Field(default=4, ge=1, le=1024)  # calls at once per replica
    balance: Balance = "least-busy"
    trusted: bool = False  # its tool annotations may decide about retries
    interactive: bool = False  # legacy backends: may its tools ask the caller questions
    health: Health = Health()
    breaker: Breaker = Breaker()


class Backend(BackendDefaults):
    """One MCP server: a command to start, or URLs to connect to."""

    name: str
    command: str | None = None
    args: tuple[str, ...] = ()
    env: dict[str, str] = Field(default_factory=dict)
    cwd: str | None = None
    urls: tuple[str, ...] = ()  # one replica each
    headers: dict[str, str] = Field(default_factory=dict)
    transport: Literal["stdio", "http", "sse"] = "stdio"
    disabled: bool = False
    timeout: Duration | None = None  # a foreign file's request time-out: the maximum run time

    @property
    def capacity(self) -> int:
        """Calls that one worker can have running on this backend at once."""
        return (len(self.urls) or self.replicas) * self.concurrency


class Queue(_Frozen):
    slots: int | None = Field(default=None, ge=1)  # per worker; None: replicas x concurrency
    max_waiting: int | None = Field(default=None, ge=0)  # None: no limit
    max_share: float = Field(default=0.0, ge=0, le=1)  # 1: one tool may take every slot


class Clocks(_Frozen):
    """The four clocks of a tool; None is no limit."""

    queue: Duration | None = None  # waiting for a slot
    idle: Duration | None = None  # since the last sign of life while running
    run: Duration | None = None  # running, one try
    deadline: Duration | None = None  # from submission to the end


class Retry(_Frozen):
    attempts: int = Field(default=3, ge=1, le=100)  # tries in all
    first: Duration = 2.0
    max: Duration = 300.0


class ToolRule(_Frozen):
    """What the operator says about the tools a pattern matches; None: nothing said."""

    queue: str | None = None
    task: TaskSupport | None = None
    priority: int | None = Field(default=None, ge=0, le=9)
    timeout: Clocks | None = None
    retry: Retry | None = None
    repeatable: bool | None = None
    on_disconnect: Literal["keep", "cancel"] | None = None
    attach: Literal["never"] | None = None


class ClientRule(_Frozen):
    """Longer waits for clients whose name matches."""

    call_wait: Duration | Literal["forever"] | None = None
    progress_wait: Duration | Literal["forever"] | None = None


class Retention(_Frozen):
    """Seconds that a record is kept, counted from the end of its job."""

    answered: Duration = 600.0
    completed: Duration = 86_400.0
    failed: Duration = 7 * 86_400.0
    dead: Duration = 30 * 86_400.0

    @property
    def shortest(self) -> float:
        return min(self.answered, self.completed, self.failed, self.dead)


class Answering(_Frozen):
    """How long a caller is held, and what losing it means."""

    inline_wait: Duration = 1.0
    call_wait: Duration = 50.0
    progress_wait: Duration | None = None  # None: as call_wait
    heartbeat: Duration = 15.0
    abandon_after: Duration = 15.0
    orphan_ttl: Duration = 900.0
    attach_for: Duration = 600.0


class ApiKey(_Frozen):
    key: str = Field(repr=False)
    caller: str


class Listen(_Frozen):
    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65_535)
    api_keys: tuple[ApiKey, ...] = ()
    insecure_no_auth: bool = False
    allowed_hosts: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()
    max_body: int = Field(default=4 * 1024 * 1024, ge=1024)  # bytes of one request


class Settings(_Frozen):
    """Everything one process may know; made by `common.config.load`."""

    broker_url: str = "memory:"
    store_url: str = ""  # empty: the SQLite file of the data folder
    namespace: str = Field(default="lh", pattern=r"^[A-Za-z0-9_-]{1,32}$")
    queue_type: Literal["auto", "classic", "quorum"] = "auto"
    data: str = ""  # the data folder
    namespaces: bool = True  # False: tools keep their bare names
    max_unpublished: int = Field(default=10_000, ge=0)
    log_format: Literal["auto", "json", "console"] = "auto"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    listen: Listen = Listen()
    answering: Answering = Answering()
    retention: Retention = Retention()
    backends: tuple[Backend, ...] = ()
    queues: dict[str, Queue] = Field(default_factory=dict)
    tools: dict[str, ToolRule] = Field(default_factory=dict)  # pattern -> rule, in file order
    clients: dict[str, ClientRule] = Field(default_factory=dict)

    @property
    def embedded(self) -> bool:
        return self.broker_url.startswith("memory:")
