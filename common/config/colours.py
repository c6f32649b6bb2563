"""Whether a terminal wants colours, as https://no-color.org has it. Rich asks for itself."""

import os


def colours_wanted() -> bool:
    return not os.environ.get("NO_COLOR")
