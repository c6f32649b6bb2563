"""The clients: a program of `tests/interop/peers` for each library, started per protocol era."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.interop.driven import Driven, driving
from tests.interop.world import HASTY, World
from tests.support.peers import PLACES, node, peer_python

TYPESCRIPT = Path(__file__).parent / "peers" / "typescript.mjs"


@contextmanager
def driven(name: str, world: World) -> Iterator[Driven]:
    """Its caller has the client's name."""
    headers = json.dumps({"X-API-Key": world.key(name)})
    with driving(name, _command(name, world.mcp, headers), world.folder) as running:
        yield running


def _command(name: str, url: str, headers: str) -> list[str]:
    library, _, mode = name.removeprefix(HASTY).partition("-")
    match library:
        case "official":
            program = "tests.interop.peers.official"
            return [sys.executable, "-m", program, url, headers, name, mode]
        case "first":
            python, program = peer_python("mcp1"), "tests.interop.peers.first_generation"
            return [str(python), "-m", program, url, headers]
        case "fastmcp":
            python, program = peer_python("fastmcp"), "tests.interop.peers.fastmcp_client"
            return [str(python), "-m", program, url, headers, name]
        case _:
            packages = PLACES / "npm" / "node_modules"  # made before there was a world
            return [str(node()), str(TYPESCRIPT), str(packages), url, headers, name, mode]
