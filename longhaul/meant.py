"""What a command line meant that mixed up `queue` and `queues`, `batch` and `batches`. Pure."""

from collections.abc import Collection, Mapping, Sequence


def meant(commands: Mapping[str, Collection[str]], words: Sequence[str]) -> str:
    """The beginning of the right command line; empty: none is known.

    `commands` has what stands below each of them: `queue` has `pause`, and `queues` has nothing.
    """
    first, second = [*words, "", ""][:2]
    if first not in commands or second in commands[first]:
        return ""
    for name, below in commands.items():
        if name == first or _singular(name) != _singular(first):
            continue
        if second in below:
            return f"{name} {second}"
        if second == "ls" and not below:
            return name
    return ""


def _singular(name: str) -> str:
    return name.removesuffix("s").removesuffix("e")
