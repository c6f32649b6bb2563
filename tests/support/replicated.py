"""A worker reduced to the processes it starts, so that it can be killed often: `DATA OWNER TAG`.

Its replicas are started as a worker starts them, by the launcher, and each has a child of its own
in its group. It says so when all are up; then it waits to be killed.
"""

import os
import subprocess
import sys
import uuid
from pathlib import Path

from workers.backends import launcher
from workers.backends.groups import owner_lives, records_folder

REPLICAS = 3


def main(data: Path, owner: str, tag: str) -> None:
    with owner_lives(data, owner):
        for _ in range(REPLICAS):
            start(records_folder(data, owner), tag)
        sys.stdin.read()


def start(records: Path, tag: str) -> None:
    token = uuid.uuid4().hex
    program = (sys.executable, "-I", "-S", launcher.__file__)
    facts = (str(records / f"{token}.json"), str(os.getpid()), "")
    subprocess.Popen(
        (*program, *facts, "sh", "-c", f"sleep {tag} & exec sleep {tag}"),
        env={**os.environ, launcher.MARKER: token},
        start_new_session=True,
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
