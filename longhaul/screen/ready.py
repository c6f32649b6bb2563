"""What a role says when it is up: a sentence, or JSON for the program that started it."""

from collections.abc import Callable

from longhaul.screen.output import out, print_json

OnReady = Callable[[str], None]  # hears the address; empty where nothing is served


def announcing(*, as_json: bool, mcp: bool = True) -> OnReady:
    def ready(address: str) -> None:
        if as_json:
            print_json({"address": address} | ({"mcp": f"{address}/mcp"} if mcp else {}))
        elif mcp:
            out.print(f"Longhaul is up at [bold]{address}[/]; agents connect to {address}/mcp")
        else:
            out.print(
                "The worker is up" + (f"; health and metrics at {address}" if address else "")
            )
        out.file.flush()

    return ready
