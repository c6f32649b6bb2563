"""The command `longhaul`."""

import sys


def main() -> None:
    if sys.platform == "win32":
        print(  # noqa: T201 - before anything of ours can be imported
            "Longhaul runs on Linux and macOS; on Windows, use it in WSL 2 or in a container.",
            file=sys.stderr,
        )
        sys.exit(2)
    from longhaul.cli import run  # noqa: PLC0415 - it cannot be imported on Windows

    sys.exit(run(sys.argv[1:]))
