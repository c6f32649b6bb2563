"""Whether a process has a terminal, whose end is a request to end."""

import os


def on_a_terminal() -> bool:
    """Started from one, whatever its input and output are now."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True
