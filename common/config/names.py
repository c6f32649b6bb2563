"""Names: how a backend's tool is called outside, and what a name may look like."""

import re

SEPARATOR = "__"
LONGEST = 64  # what the strictest model providers accept
FORM = re.compile(r"[A-Za-z0-9_-]+")
OWN_PREFIX = "longhaul_"  # of the tools that Longhaul itself offers
OWN_TOOLS = tuple(f"{OWN_PREFIX}{name}" for name in ("wait", "result", "cancel", "jobs", "batch"))
_FOREIGN = re.compile(r"[^A-Za-z0-9_-]+")


def expose(backend: str, tool: str, *, namespaces: bool) -> str:
    """The name under which clients see a backend's tool."""
    return f"{backend}{SEPARATOR}{tool}" if namespaces else tool


def backend_name(name: str) -> str:
    """The nearest name Longhaul accepts: `github.com/acme/files` becomes `github-com-acme-files`.

    Empty when nothing of the name can stay.
    """
    return _FOREIGN.sub("-", name).strip("-")
