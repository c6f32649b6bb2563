"""What a role says when it is up: a sentence, or JSON for the program that started it."""

from collections.abc import Callable
from ipaddress import ip_address
from urllib.parse import urlsplit

from longhaul.screen.output import out, print_json

OnReady = Callable[[str], None]  # hears the address; empty where nothing is served


def announcing(*, as_json: bool, mcp: bool = True) -> OnReady:
    def ready(address: str) -> None:
        if as_json:
            print_json({"address": address} | ({"mcp": f"{address}/mcp"} if mcp else {}))
        elif mcp:
            out.print(
                f"Longhaul is up at [bold]{address}[/]; agents connect to {_reached(address)}"
            )
        else:
            out.print(
                "The worker is up" + (f"; health and metrics at {address}" if address else "")
            )
        out.file.flush()

    return ready


def _reached(address: str) -> str:
    """Where agents find MCP; the address that stands for all of a machine is none to connect to."""
    parts = urlsplit(address)
    if not ip_address(parts.hostname or "").is_unspecified:
        return f"{address}/mcp"
    return f"http://HOST:{parts.port}/mcp, where HOST is a name of this machine"
