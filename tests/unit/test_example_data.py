"""The bundled data sets are what their generator makes, byte for byte."""

from pathlib import Path

from examples.exporter.data import generate
from examples.exporter.datasets import DATA


def test_data_follows_from_its_generator(tmp_path: Path) -> None:
    generate.main(tmp_path)
    made = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert made == {path.name: path.read_bytes() for path in DATA.glob("*.csv")}
    assert sum(map(len, made.values())) < 1_500_000
