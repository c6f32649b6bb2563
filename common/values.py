"""Values: frozen dataclasses that cost little to make, for those of which each job makes many."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass as value_type
else:

    def value_type(*, frozen: bool, **options: Any) -> Callable[[type], type]:
        """A frozen dataclass to mypy, which lets nobody assign to a field, in the tests neither.

        `dataclass` itself freezes at run time as well, and sets each field of a new value through a
        check for it: making a `Head` then takes five times as long.
        """
        return dataclass(unsafe_hash=frozen, **options)


__all__ = ["value_type"]
