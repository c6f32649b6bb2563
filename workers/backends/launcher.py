"""Becomes a backend process, after writing down which process group it is.

Run by file name in an isolated interpreter, because it must not depend on the folder or the
environment the backend is given: only the standard library is imported here. It does four things
and is then replaced by the backend: goes to its folder, asks the kernel to be killed with its
worker (Linux), records itself for `workers.backends.groups`, and executes the command.
"""

import ctypes
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

MARKER = "LONGHAUL_REPLICA"  # environment variable: whose descendant a process is
CANNOT_START = 127  # as a shell says it
_PR_SET_PDEATHSIG = 1


PROC = Path("/proc")


def start_time(pid: int) -> str | None:
    """When a process started: a text that no later process of this number has; None without one.

    By the kernel's own count where there is /proc, else to the second, as `ps` says it.
    """
    if not (PROC / "self").exists():
        return _start_by_ps(pid)
    try:
        stat = (PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
        boot = (PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return None
    # The command's name stands in brackets and may hold blanks; field 22 counts from before it.
    return f"{boot} {stat.rpartition(')')[2].split()[19]}"


def _start_by_ps(pid: int) -> str | None:
    command = ("/bin/ps", "-o", "lstart=", "-p", str(pid))
    try:
        # In one language and one zone: the texts are compared.
        said = subprocess.run(  # noqa: S603 -- fixed words and a number
            command,
            env={"LC_ALL": "C", "TZ": "UTC"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return None
    return said.stdout.strip() or None


def main(arguments: list[str]) -> None:
    record, parent, folder, *command = arguments
    try:
        if folder:
            os.chdir(folder)
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        _write(Path(record))
        if os.getppid() != int(parent):
            # The worker died before the kernel was asked, or before the record could be found:
            # nobody would ever stop us. One that dies from here on leaves a record to its heir.
            Path(record).unlink(missing_ok=True)
            sys.exit(CANNOT_START)
        # The command is the operator's own, from the configuration.
        os.execvp(command[0], command)  # noqa: S606 -- no shell, as it should be
    except OSError as error:
        what = folder if error.filename == folder and folder else command[0]
        sys.stderr.write(f"longhaul: cannot start {what!r}: {error.strerror}\n")
        sys.exit(CANNOT_START)


def _write(record: Path) -> None:
    pid = os.getpid()
    content = {"pid": pid, "started": start_time(pid), "token": os.environ.get(MARKER, "")}
    # Its folder is the worker's: without it the worker is gone, and others cleared up after it.
    draft = record.with_suffix(".draft")
    draft.write_text(json.dumps(content), encoding="utf-8")
    draft.rename(record)


if __name__ == "__main__":
    main(sys.argv[1:])
