"""Other people's programs that tests and the demo start: each in its own place, with its own pins.

`python -m tests.support.peers NAME` makes a peer and prints its python; `node` and `npm` are names
as well.
"""

import fcntl
import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PINS = ROOT / "tests" / "peers"
PLACES = ROOT / ".peers"
STAMP = "made-from"


def peer_python(name: str) -> Path:
    """The python of the venv made from `tests/peers/<name>.txt`; made at the first call."""
    pins = PINS / f"{name}.txt"

    def install(place: Path) -> None:
        _run([sys.executable, "-m", "venv", str(place)])
        pip = [str(place / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--quiet"]
        _run([*pip, "install", "--require-hashes", "--requirement", str(pins)])

    return made_once(PLACES / name, [pins], install) / "bin" / "python"


def node() -> Path:
    """Node of the version that the npm peers need, whatever this machine has."""
    return peer_python("node").parent / "node"


def npm_bin(name: str) -> Path:
    """The script behind a command of a package in `tests/peers/npm`; start it with `node()`."""
    return (_npm_place() / "node_modules" / ".bin" / name).resolve(strict=True)


def _npm_place() -> Path:
    pins = [PINS / "npm" / "package.json", PINS / "npm" / "package-lock.json"]
    npm = [str(node().parent / "npm"), "ci"]

    def install(place: Path) -> None:
        place.mkdir()
        for file in pins:
            shutil.copy(file, place)
        quiet = ["--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error"]
        # Nothing here needs its install scripts, so none of them runs.
        _run([*npm, "--ignore-scripts", *quiet], folder=place)

    return made_once(PLACES / "npm", pins, install)


def made_once(place: Path, pins: list[Path], install: Callable[[Path], None]) -> Path:
    """Make a place once per content of its pins, however many processes ask at a time."""
    wanted = hashlib.sha256(b"".join(file.read_bytes() for file in pins)).hexdigest()
    wanted += f" {sys.version_info.major}.{sys.version_info.minor}\n"
    stamp = place / STAMP
    if _content(stamp) == wanted:
        return place
    with _alone(place.with_suffix(".lock")):
        if _content(stamp) != wanted:
            shutil.rmtree(place, ignore_errors=True)
            install(place)
            stamp.write_text(wanted)
    return place


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    lock.parent.mkdir(exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # released with the file, also by a crash
        yield


def _content(stamp: Path) -> str:
    return stamp.read_text() if stamp.exists() else ""


def _run(command: list[str], *, folder: Path = ROOT) -> None:
    """Run to the end, its output on our standard error: standard output is for the answer.

    Raises:
        subprocess.CalledProcessError: It failed; it has said why.
    """
    subprocess.run(command, cwd=folder, check=True, stdin=subprocess.DEVNULL, stdout=sys.stderr)


def _place(name: str) -> Path:
    match name:
        case "npm":
            return _npm_place()
        case "node":
            return node()
        case _:
            return peer_python(name)


def main(names: list[str]) -> int:
    for name in names:
        try:
            place = _place(name)
        except subprocess.CalledProcessError as failed:
            sys.stderr.write(f"cannot make the peer {name}: {failed}\n")
            return 1
        sys.stdout.write(f"{place}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
