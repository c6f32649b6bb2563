"""A probe of a drill that counts each start of it twice: the control that a drill must report."""

import sys
from pathlib import Path

from typing_extensions import override

from longhaul.drill.probe import Probe


class CountingTwice(Probe):
    @override
    def count(self, label: str) -> None:
        super().count(label)
        super().count(label)


if __name__ == "__main__":
    CountingTwice(Path(sys.argv[1])).serve()
