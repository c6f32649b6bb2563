"""Writes the bundled data sets. The same seed makes the same bytes; all names are made up.

Run it in this folder after a change: `python generate.py`.
"""

import csv
import math
import random
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

Row = tuple[str, ...]

_START = datetime(2026, 1, 5, 6, 0, tzinfo=UTC)
_PRODUCTS = (
    ("Field notebook A5", 7.90),
    ("Brass compass", 48.00),
    ("Canvas rucksack 30 l", 119.00),
    ("Wool blanket", 86.50),
    ("Enamel mug", 12.40),
    ("Storm lantern", 39.90),
    ("Folding stove", 64.00),
    ("Water filter", 54.75),
    ("Map case", 22.30),
    ("Trail socks", 16.90),
)
_COUNTRIES = ("AT", "BE", "CH", "DE", "DK", "ES", "FR", "IT", "NL", "PL", "SE")
_STATUSES = ("delivered",) * 14 + ("shipped",) * 3 + ("returned",) * 2 + ("cancelled",)
_SITES = (("harbour", 9.0), ("ridge", 2.5), ("orchard", 11.0), ("quarry", 7.5), ("station", 12.5))


def orders(rows: int) -> Iterator[Row]:
    """A year of a small shop: one row per order line, in order of time."""
    yield (
        "order_id",
        "ordered_at",
        "country",
        "product",
        "quantity",
        "unit_price",
        "total",
        "status",
    )
    dice = random.Random(20260105)
    at = _START
    for number in range(1, rows + 1):
        at += timedelta(seconds=int(dice.expovariate(1 / 3900)) + 1)
        product, price = dice.choice(_PRODUCTS)
        quantity = dice.choice((1, 1, 1, 1, 2, 2, 3, 4))
        yield (
            f"LH-{number:06d}",
            at.isoformat().replace("+00:00", "Z"),
            dice.choice(_COUNTRIES),
            product,
            str(quantity),
            f"{price:.2f}",
            f"{price * quantity:.2f}",
            dice.choice(_STATUSES),
        )


def readings(rows: int) -> Iterator[Row]:
    """Five weather masts, one reading each per quarter of an hour."""
    yield ("taken_at", "site", "temperature_c", "humidity_pct", "wind_ms")
    dice = random.Random(715)
    for number in range(rows):
        at = _START + timedelta(minutes=15 * (number // len(_SITES)))
        site, mean = _SITES[number % len(_SITES)]
        hour = at.hour + at.minute / 60
        season = math.sin((at.timetuple().tm_yday - 105) / 365 * 2 * math.pi)
        warmth = mean + 8 * season + 4 * math.sin((hour - 9) / 24 * 2 * math.pi)
        temperature = warmth + dice.gauss(0, 0.8)
        yield (
            at.isoformat().replace("+00:00", "Z"),
            site,
            f"{temperature:.1f}",
            f"{min(100.0, max(18.0, 92 - 1.8 * temperature + dice.gauss(0, 6))):.0f}",
            f"{abs(dice.gauss(4.2, 2.4)):.1f}",
        )


def write(path: Path, rows: Iterable[Row]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def main(folder: Path) -> None:
    write(folder / "orders.csv", orders(8_000))
    write(folder / "readings.csv", readings(12_000))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
