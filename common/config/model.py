"""The configuration, read once and frozen: what the rest of the program may ask of it.

Durations are seconds (`float`) once parsed; the file may write `30s`, `10m`, `24h`, `500ms`.
"""

from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from common.config.api_keys import parse_api_keys
from common.config.callbacks import Secrets, Targets
from common.config.duration import parse_duration
from common.jobs.answers import is_answer


def _not_a_flag(value: object) -> object:
    # Pydantic takes `true` for 1; in a file of settings it is a mistake.
    if isinstance(value, bool):
        raise ValueError("should be a number")  # noqa: TRY004 - pydantic reports a ValueError
    return value


def _words(value: object) -> object:
    if isinstance(value, str):
        return [word.strip() for word in value.split(",") if word.strip()]
    return value


def _transport(value: object) -> object:
    # The names other programs have for streamable HTTP.
    return "http" if value in {"streamable-http", "streamableHttp", "streamable_http"} else value


def _http_address(url: str) -> str:
    parts = urlsplit(url)  # raises a ValueError of its own for a bad port or bracket
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("should be an address that begins with http:// or https://")
    return url


def _an_answer(value: dict[str, Any]) -> dict[str, Any]:
    if not is_answer(value):
        raise ValueError("should be an answer as the protocol has it: {action: accept, content: …}")
    return value


Duration = Annotated[float, BeforeValidator(parse_duration), Field(ge=0, allow_inf_nan=False)]
Period = Annotated[float, BeforeValidator(parse_duration), Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, BeforeValidator(_not_a_flag)]
Words = Annotated[tuple[str, ...], BeforeValidator(_words)]
BackendName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
QueueName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
Balance = Literal["round-robin", "least-busy", "latency", "priority", "affinity"]
TaskSupport = Literal["optional", "required", "never", "after_input"]
Transport = Annotated[Literal["stdio", "http", "sse"], BeforeValidator(_transport)]
ProtocolAnswer = Annotated[dict[str, Any], AfterValidator(_an_answer)]
Address = Annotated[str, AfterValidator(_http_address)]


class _Frozen(BaseModel):
    """A section of the file: an unknown key is an error, a value never changes."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Probe(_Frozen):
    tool: str
    arguments: dict[str, Any] = Field(default_factory=dict)


class Health(_Frozen):
    interval: Period = 30.0
    timeout: Period = 5.0
    unhealthy_after: Count = Field(default=3, ge=1)
    probe: Probe | None = None


class Breaker(_Frozen):
    failures: Count = Field(default=5, ge=1)
    cooldown: Duration = 30.0


class RetryBudget(_Frozen):
    """Retries that one worker lets a backend have; over it they wait longer."""

    share: float = Field(default=0.2, ge=0, le=1)  # of the calls it gets
    floor: Count = Field(default=60, ge=1)  # besides, per minute


class Recycle(_Frozen):
    """When a replica is replaced by a fresh one; None: not for this."""

    age: Period | None = None
    calls: Count | None = Field(default=None, ge=1)
    memory: Count | None = Field(default=None, ge=1)  # megabytes, of all its processes


class BackendDefaults(_Frozen):
    """What every backend gets unless it says otherwise."""

    replicas: Count = Field(default=1, ge=1, le=256)  # per worker
    concurrency: Count = Field(default=4, ge=1, le=1024)  # calls at once per replica
    balance: Balance = "least-busy"
    trusted: bool = False  # its tool annotations may decide about retries
    protocol: Literal["auto", "legacy"] = "auto"  # legacy: before 2026-07-28, if it has both
    interactive: bool = False  # legacy backends: may its tools ask the caller questions
    health: Health = Health()
    breaker: Breaker = Breaker()
    retry_budget: RetryBudget = RetryBudget()
    grace: Duration = 5.0  # for a cancelled tool to let go
    on_stuck: Literal["leave", "restart"] = "leave"  # its replica, when it does not
    recycle: Recycle = Recycle()


class BackendForm(BackendDefaults):
    """What a file and the program both say about a backend."""

    command: str | None = Field(default=None, min_length=1)
    args: tuple[str, ...] = ()
    env: dict[str, str] = Field(default_factory=dict, repr=False)
    cwd: str | None = None
    urls: tuple[Address, ...] = Field(default=(), repr=False)  # one replica each
    headers: dict[str, str] = Field(default_factory=dict, repr=False)
    disabled: bool = False
    timeout: Period | None = None  # the maximum run time of its tools, unless a rule says another


class Backend(BackendForm):
    """One MCP server: a command to start, or URLs to connect to."""

    name: BackendName
    transport: Transport = "stdio"

    @property
    def capacity(self) -> int:
        """Calls that one worker can have running on this backend at once."""
        return (len(self.urls) or self.replicas) * self.concurrency


class Queue(_Frozen):
    slots: Count | None = Field(default=None, ge=1)  # per worker; None: replicas x concurrency
    max_waiting: Count | None = Field(default=None, ge=0)  # None: no limit


class Clocks(_Frozen):
    """The four clocks of a tool; None is no limit."""

    queue: Period | None = None  # waiting for a slot
    idle: Period | None = None  # since the last sign of life while running
    run: Period | None = None  # running, one try
    deadline: Period | None = None  # from submission to the end


class Retry(_Frozen):
    attempts: Count = Field(default=3, ge=1, le=100)  # tries in all
    first: Duration = 2.0
    max: Duration = 300.0
    on_tool_error: bool = False  # also when the tool itself reports an error


class Questions(_Frozen):
    """Questions that a tool asks in mid-call."""

    deadline: Period = 3_600.0  # then they are answered without anybody
    default: ProtocolAnswer | None = None  # with this, where it fits


class ToolRule(_Frozen):
    """What the operator says about the tools a pattern matches; None: nothing said."""

    queue: QueueName | None = None
    task: TaskSupport | None = None
    priority: Count | None = Field(default=None, ge=0, le=9)
    timeout: Clocks | None = None
    retry: Retry | None = None
    repeatable: bool | None = None
    on_disconnect: Literal["keep", "cancel"] | None = None
    attach: Literal["never"] | None = None
    questions: Questions | None = None


class ClientRule(_Frozen):
    """What clients whose name matches wait for, and take."""

    call_wait: Duration | Literal["forever"] | None = None
    progress_wait: Duration | Literal["forever"] | None = None
    preview: Count | None = Field(default=None, ge=0)  # bytes of a large result


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
    carry_rounds: Count = Field(default=8, ge=0, le=100)
    heartbeat: Period = 15.0
    abandon_after: Duration = 15.0
    orphan_ttl: Duration = 900.0
    attach_for: Duration = 600.0


class Documents(_Frozen):
    """What people put into the blob store themselves."""

    put: Literal["user", "operator", "admin"] = "operator"  # the role that it needs
    max_size: Count = Field(default=1024**3, ge=1024)  # bytes of one


class Callbacks(_Frozen):
    """Messages to URLs that callers name; without a secret there are none."""

    secrets: Annotated[Secrets, BeforeValidator(_words)] = Field(default=(), repr=False)
    allow: Annotated[Targets, BeforeValidator(_words)] = ()  # beyond the public net, and http
    attempts: Count = Field(default=15, ge=1, le=100)  # tries in all
    first: Period = 5.0
    max: Period = 4 * 3_600.0
    timeout: Period = 10.0  # of one try
    at_once: Count = Field(default=16, ge=1, le=1_000)  # per ingress
    public_url: Address | None = None  # of the REST interface, for links in them


class Batches(_Frozen):
    """Many calls of one tool as one thing."""

    in_flight: Count = Field(default=256, ge=1)  # rows of one that are open at once
    max_in_flight: Count = Field(default=4_096, ge=1)  # however many a caller asks for
    max_rows: Count = Field(default=1_000_000, ge=1, le=1_000_000)
    max_size: Count = Field(default=1024**3, ge=1024)  # bytes of the rows of one


class ApiKey(_Frozen):
    key: str = Field(repr=False, min_length=1)
    caller: str = Field(min_length=1)


class Listen(_Frozen):
    host: str = "127.0.0.1"
    port: Count = Field(default=8080, ge=0, le=65_535)
    api_keys: Annotated[tuple[ApiKey, ...], BeforeValidator(parse_api_keys)] = ()
    insecure_no_auth: bool = False
    allowed_hosts: Words = ()
    allowed_origins: Words = ()
    max_body: Count = Field(default=4 * 1024 * 1024, ge=1024)  # bytes of one request


class Common(_Frozen):
    """What a file and the program both say, outside of backends."""

    broker_url: str = Field(default="memory:", repr=False)
    store_url: str = Field(default="", repr=False)  # empty: the SQLite file of the data folder
    blob_url: str = Field(default="", repr=False)  # empty: embedded, a folder of the data folder
    inline_limit: Count = Field(default=256 * 1024, ge=1024)  # bytes; what is larger is a blob
    preview: Count = Field(default=16 * 1024, ge=0)  # bytes of such a result that its record keeps
    max_result: Count = Field(default=64 * 1024 * 1024, ge=1024)  # bytes
    max_output: Count = Field(default=1024**3, ge=1024)  # bytes that one try may say
    max_file: Count = Field(default=16 * 1024**3, ge=1024)  # bytes, of one that a tool hands over
    namespace: str = Field(default="lh", pattern=r"^[A-Za-z0-9_-]{1,32}$")
    queue_type: Literal["auto", "classic", "quorum"] = "auto"
    data: str = ""  # the data folder
    secret_key: str = Field(default="", repr=False)  # seals what clients bring back to us
    namespaces: bool = True  # False: tools keep their bare names
    max_unpublished: Count = Field(default=10_000, ge=0)
    drain: Duration = 25.0  # once a process is asked to stop, for what is under way
    log_format: Literal["auto", "json", "console"] = "auto"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    listen: Listen = Listen()
    answering: Answering = Answering()
    retention: Retention = Retention()
    callbacks: Callbacks = Callbacks()
    documents: Documents = Documents()
    batches: Batches = Batches()
    queues: dict[QueueName, Queue] = Field(default_factory=dict)
    tools: dict[str, ToolRule] = Field(default_factory=dict)  # pattern -> rule, in file order
    clients: dict[str, ClientRule] = Field(default_factory=dict)


class Settings(Common):
    """Everything one process may know; made by `common.config.load`."""

    backends: tuple[Backend, ...] = ()

    @property
    def embedded(self) -> bool:
        return self.broker_url.startswith("memory:")
