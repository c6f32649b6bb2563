"""The release before this one: its tree, for processes that run beside ours."""

import shutil
import subprocess
from pathlib import Path

from common.jobs.head import RECORD_FORMAT

TREE = Path(__file__).resolve().parents[2]
PACKAGES = ("common", "ingress", "workers", "longhaul")


def previous_release(folder: Path) -> Path:
    """This tree as if the record had its newest change before it: the format is lowered by one.

    So nothing but the format tells the two apart, and that is what they must go by.
    """
    for package in PACKAGES:
        shutil.copytree(
            TREE / package, folder / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    head = folder / "common" / "jobs" / "head.py"
    ours = f"RECORD_FORMAT = {RECORD_FORMAT}\n"
    text = head.read_text()
    assert text.count(ours) == 1
    head.write_text(text.replace(ours, f"RECORD_FORMAT = {RECORD_FORMAT - 1}\n"))
    return folder


def tagged_release(folder: Path, tag: str) -> Path | None:
    """The tree of a tag; None where the clone does not have it."""
    git = ["git", "-C", str(TREE)]
    found = subprocess.run([*git, "rev-parse", "--verify", "--quiet", tag], check=False)
    if found.returncode != 0:
        return None
    folder.mkdir()
    archive = subprocess.run([*git, "archive", tag, *PACKAGES], check=True, capture_output=True)
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive.stdout, check=True)
    return folder
