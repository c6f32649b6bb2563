"""The rules of the layout, and how large and how broad a piece of code may be."""

import ast
from collections.abc import Iterable, Iterator

from tests.support.sources import BESIDE, PRODUCT, Import, Source, sources

FILE_LINES = 300
FUNCTION_LINES = 40
HIDES_ITS_ROLE = {"utils", "util", "helpers", "helper", "misc", "manager", "managers"}

# Who may not import whom; product code imports nothing from beside it.
FORBIDDEN = {
    "common": ("ingress", "workers", "longhaul", *BESIDE),
    "ingress": ("workers", "longhaul", *BESIDE),
    "workers": ("ingress", "longhaul", *BESIDE),
    "longhaul": BESIDE,
}
# A library that is somebody's driver stays behind its port; the runtime may open it.
RUNTIME = "common/runtime.py"
HOMES = {
    "aio_pika": ("common/brokers/rabbitmq/", RUNTIME),
    "aiormq": ("common/brokers/rabbitmq/",),
    "redis": ("common/store/redis/", "common/notifier/redis.py", RUNTIME),
    "sqlite3": ("common/store/sqlite/", RUNTIME),
    "obstore": ("common/blobs/objects/",),
    "mcp": ("ingress/mcp/", "workers/backends/", "longhaul/bridge/"),
    "mcp_types": ("ingress/mcp/", "workers/backends/", "longhaul/bridge/"),
}
ENVIRONMENT = ("common/config/", "longhaul/")
TIME = ("common/clock.py",)
ASKS_THE_TIME = {
    "time.time",
    "time.time_ns",
    "time.monotonic",
    "time.monotonic_ns",
    "time.perf_counter",
    "time.sleep",
    "asyncio.sleep",
    "anyio.sleep",
    "datetime.now",
    "datetime.utcnow",
}
READS_THE_ENVIRONMENT = {"os.environ", "os.getenv"}

# Exceptions to a rule: the file, and why it is one. An entry that is no longer needed fails.
READS_IT_ANYWAY = {
    "workers/backends/launcher.py": "a program of its own, started with its facts in variables",
}
SLEEPS_ANYWAY = {
    "longhaul/datafolder.py": "asks for a lock a few times before there is an event loop",
    "workers/backends/http_link.py": "the pause that a server asked for on the wire",
}
CATCHES_ALL = {
    "common/leftovers.py": "what stays behind must not end each process that takes it",
    "common/reconciler.py": "one odd record must not end the process that looks at it",
    "ingress/batches/drive.py": "one odd batch must not end the others",
    "common/releasing.py": "one odd record must not end the process that lets jobs go",
    "ingress/errors.py": "the HTTP face where FastAPI is not: an answer, not a crash",
    "ingress/callbacks/sender.py": "one odd message must not end the others, nor the ingress",
    "longhaul/bridge/relay.py": "one odd message must not end the others",
    "common/store/sqlite/worker.py": "the thread's boundary: whoever asked gets the error",
    "longhaul/supervisor.py": "whatever clearing up meets, the parent must not end of it",
    "workers/strays.py": "one record that cannot be settled must not end the worker",
    "workers/executor.py": "the boundary of a run: one job's bug must not end the others",
    "workers/backends/link.py": "one odd notification must not end the connection it came on",
    "workers/backends/pool.py": "a backend's bug must not end the other backends",
    "workers/backends/replica.py": "the supervisor's boundary: what failed is started again",
    "workers/backends/side.py": "what runs beside calls must not end them",
}


def test_folders_import_only_what_is_below_them() -> None:
    assert_none(
        place(source, found)
        for source in sources(*PRODUCT)
        for found in source.imports()
        if found.target.partition(".")[0] in FORBIDDEN[source.top]
    )


def test_a_driver_is_imported_only_in_its_own_folder() -> None:
    assert_none(
        place(source, found)
        for source in sources(*PRODUCT)
        for found in source.imports()
        for homes in [HOMES.get(found.target.partition(".")[0])]
        if homes is not None and not source.path.startswith(homes)
    )


def test_no_modules_import_each_other_in_a_circle() -> None:
    edges = {source.module: set(own_imports(source)) for source in sources(*PRODUCT)}
    while leaves := [module for module, targets in edges.items() if not targets & edges.keys()]:
        for module in leaves:
            del edges[module]
    assert_none(f"{module} -> {', '.join(sorted(edges[module]))}" for module in edges)


def test_the_environment_is_read_only_by_configuration_and_commands() -> None:
    found = mentions(READS_THE_ENVIRONMENT, allowed=ENVIRONMENT)
    assert_only(READS_IT_ANYWAY, found)


def test_only_the_clock_asks_for_the_time() -> None:
    assert_only(SLEEPS_ANYWAY, mentions(ASKS_THE_TIME, allowed=TIME))


def test_only_named_boundaries_catch_everything() -> None:
    found = [(source.path, line) for source in sources(*PRODUCT) for line in broad_catches(source)]
    assert_only(CATCHES_ALL, found)


def test_every_file_fits_in_a_few_screens() -> None:
    counts = {source.path: len(source.text.splitlines()) for source in sources()}
    assert_none(f"{path}: {count} lines" for path, count in counts.items() if count > FILE_LINES)


def test_every_function_fits_on_a_screen() -> None:
    assert_none(
        f"{source.path}:{node.lineno}: {node.name} has {length} lines"
        for source in sources()
        for node in ast.walk(source.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for length in [lines_of_code(node)]
        if length > FUNCTION_LINES
    )


def test_every_module_is_named_for_what_it_does() -> None:
    assert_none(
        source.path
        for source in sources()
        if set(source.path.removesuffix(".py").split("/")) & HIDES_ITS_ROLE
    )


def lines_of_code(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """All its lines but the docstring's."""
    said = function.body[:1] if ast.get_docstring(function) is not None else []
    return lines(function) - sum(lines(node) for node in said)


def lines(node: ast.stmt) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def assert_none(offenders: Iterable[str]) -> None:
    found = list(offenders)
    assert not found, "\n" + "\n".join(found)


def assert_only(exceptions: dict[str, str], found: Iterable[tuple[str, int]]) -> None:
    """All is where it may be, and each exception is still needed."""
    places = list(found)
    extra = [f"{path}:{line}" for path, line in places if path not in exceptions]
    needless = exceptions.keys() - {path for path, _ in places}
    assert_none([*extra, *(f"{path}: an exception that nothing needs" for path in needless)])


def place(source: Source, found: Import) -> str:
    return f"{source.path}:{found.line}: {found.target}"


def own_imports(source: Source) -> Iterator[str]:
    """The modules of ours that must be loaded before this one."""
    modules = {other.module for other in sources(*PRODUCT)}
    for found in source.imports():
        module = found.target if found.target in modules else found.target.rpartition(".")[0]
        if module in modules and module != source.module and not found.typing_only:
            yield module


def mentions(names: set[str], *, allowed: tuple[str, ...]) -> Iterator[tuple[str, int]]:
    for source in sources(*PRODUCT):
        if not source.path.startswith(allowed):
            for node in ast.walk(source.tree):
                if isinstance(node, ast.Attribute) and ast.unparse(node) in names:
                    yield source.path, node.lineno
            for found in source.imports():
                if found.target in names:
                    yield source.path, found.line


def broad_catches(source: Source) -> Iterator[int]:
    """Handlers for everything, besides those that undo something and raise again."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ExceptHandler):
            caught = ast.unparse(node.type) if node.type else "BaseException"
            raises = isinstance(node.body[-1], ast.Raise)
            if {"Exception", "BaseException"} & set(caught.strip("()").split(", ")) and not raises:
                yield node.lineno
