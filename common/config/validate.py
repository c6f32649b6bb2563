"""What a configuration may not say although every value of it is well formed. Pure."""

import re
from collections.abc import Iterable, Iterator
from ipaddress import ip_address

from common.config.model import Backend, Listen, Settings
from common.config.names import FORM, LONGEST, SEPARATOR, expose
from common.config.problems import Problem
from common.config.schema import nearest_name
from common.config.urls import blob_folder, scheme, sqlite_path

_BROKERS = {"memory": True, "amqp": False, "amqps": False}  # kind -> inside this process
_STORES = {"sqlite": True, "redis": False, "rediss": False}
_BLOBS = ("file", "s3", "gs", "az")
_COPIED = 5 * 1024**3  # bytes that S3 gives another name; others have no such limit
_GLOB = re.compile(r"[*?\[]")


def check_listen(listen: Listen) -> Problem | None:
    """Refuse to open a port to others when nobody has to show a key."""
    if listen.api_keys or listen.insecure_no_auth or is_loopback(listen.host):
        return None
    message = (
        f"{listen.host} is open to other machines and no API key is set; "
        "set LONGHAUL_API_KEY, listen on 127.0.0.1, or say --insecure-no-auth"
    )
    return Problem(message=message, path=("listen", "host"))


def is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check_urls(settings: Settings) -> Iterator[Problem]:
    """Broker and store must be of a known kind, and both inside the process or both outside."""
    broker, store = scheme(settings.broker_url), scheme(settings.store_url)
    unknown = False
    for path, kind, known in (("broker_url", broker, _BROKERS), ("store_url", store, _STORES)):
        if kind not in known:
            unknown = True
            message = f"should begin with one of {', '.join(f'{name}:' for name in known)}"
            yield Problem(message=message, path=(path,), nearest=nearest_name(kind, known))
    if store == "sqlite":
        try:
            sqlite_path(settings.store_url)
        except ValueError as error:
            yield Problem(message=str(error), path=("store_url",))
    yield from _check_blobs(settings)
    if unknown or _BROKERS[broker] == _STORES[store]:
        return
    if _BROKERS[broker]:
        message = (
            f"a {store}: store is shared by several processes, but the broker is inside this one; "
            "set broker_url to amqp://... (distributed), or leave store_url out (embedded)"
        )
    else:
        message = (
            f"an {broker}: broker is shared by several processes, but the sqlite: store belongs to "
            "this one; set store_url to redis://... (distributed), or leave broker_url out "
            "(embedded)"
        )
    yield Problem(message=message, path=("store_url",))


def _check_blobs(settings: Settings) -> Iterator[Problem]:
    url = settings.blob_url
    kind = scheme(url)
    if url and kind not in _BLOBS:
        message = f"should begin with one of {', '.join(f'{name}://' for name in _BLOBS)}"
        yield Problem(message=message, path=("blob_url",), nearest=nearest_name(kind, _BLOBS))
    elif kind == "file":
        try:
            blob_folder(url)
        except ValueError as error:
            yield Problem(message=str(error), path=("blob_url",))
    elif kind == "s3":
        sizes = {"documents": settings.documents.max_size, "batches": settings.batches.max_size}
        message = f"should be {_COPIED} at most: S3 copies no more to the name that it gets"
        for part, size in sizes.items():
            if size > _COPIED:
                yield Problem(message=message, path=(part, "max_size"))


def check_routing(settings: Settings) -> Iterator[Problem]:
    """Warnings: a queue nobody uses, a pattern that can match no tool."""
    used = {backend.name for backend in settings.backends}
    used |= {rule.queue for rule in settings.tools.values() if rule.queue}
    for queue in settings.queues:
        if queue not in used:
            message = "no backend and no tool pattern uses this queue"
            path = ("queues", queue)
            yield Problem(message=message, path=path, nearest=nearest_name(queue, used))
    for pattern in settings.tools:
        if settings.backends and not backends_of(pattern, settings.backends, settings.namespaces):
            guess = nearest_name(
                pattern.partition(SEPARATOR)[0], [backend.name for backend in settings.backends]
            )
            message = "matches no tool: it begins with no known backend's name and __"
            yield Problem(message=message, path=("tools", pattern), nearest=guess)


def backends_of(pattern: str, backends: Iterable[Backend], namespaces: bool) -> tuple[Backend, ...]:
    """The backends whose tools a pattern may match, by what stands before its first wildcard."""
    if not namespaces:
        return tuple(backends)  # a bare name does not say whose tool it is
    glob = _GLOB.search(pattern)
    literal = pattern[: glob.start()] if glob else pattern

    def concerns(name: str) -> bool:
        prefix = name + SEPARATOR
        return literal.startswith(prefix) or (glob is not None and prefix.startswith(literal))

    return tuple(backend for backend in backends if concerns(backend.name))


def check_names(tools: Iterable[tuple[str, str]], *, namespaces: bool) -> Iterator[Problem]:
    """Warnings: exposed names that some clients and models refuse.

    Args:
        tools: Backend and its own name of the tool.
        namespaces: As in the settings.
    """
    for backend, tool in tools:
        name = expose(backend, tool, namespaces=namespaces)
        if len(name) > LONGEST:
            message = f"the tool {name} has {len(name)} characters; some clients refuse over 64"
            yield Problem(message=message, path=("mcpServers", backend))
        if not FORM.fullmatch(name):
            message = f"the tool {name} has characters other than letters, digits, _ and -"
            yield Problem(message=message, path=("mcpServers", backend))


def collisions(tools: Iterable[tuple[str, str]], *, namespaces: bool) -> Iterator[Problem]:
    """Errors: two tools under one exposed name; names both backends."""
    owners: dict[str, tuple[str, str]] = {}
    for backend, tool in tools:
        name = expose(backend, tool, namespaces=namespaces)
        first = owners.setdefault(name, (backend, tool))
        if first != (backend, tool):
            message = f"the backends {first[0]} and {backend} both expose a tool as {name}; " + (
                "rename one of the backends" if namespaces else "turn namespaces on"
            )
            yield Problem(message=message, path=("mcpServers", backend))
