"""How much memory a replica takes: its whole process group, as Linux counts it."""

import os
from pathlib import Path

_PROC = Path("/proc")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def group_memory(group: int) -> int | None:
    """Bytes that the group's processes hold in memory; None where the system does not tell.

    Reads a file for each process of the machine: for a thread, now and then.
    """
    if not _PROC.is_dir():
        return None
    pages = [_pages(entry, group) for entry in _PROC.iterdir() if entry.name.isdigit()]
    return sum(pages) * _PAGE


def _pages(process: Path, group: int) -> int:
    try:
        stat = (process / "stat").read_text(encoding="utf-8", errors="replace")
        # The command's name stands in brackets and may hold blanks; after it: state, parent, group.
        if int(stat.rpartition(")")[2].split()[2]) != group:
            return 0
        return int((process / "statm").read_text(encoding="ascii").split()[1])
    except (OSError, IndexError, ValueError):
        return 0  # gone meanwhile
