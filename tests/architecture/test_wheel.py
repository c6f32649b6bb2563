"""What an installation puts on a machine."""

import configparser
import io
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.sources import ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """Built with the pinned build backend of this environment; nothing is fetched."""
    folder: Path = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(folder)]
    subprocess.run([*pip, "wheel", *options, str(ROOT)], check=True)
    [built] = folder.glob("*.whl")
    return zipfile.ZipFile(built)


def metadata(wheel: zipfile.ZipFile, name: str) -> str:
    [path] = [path for path in wheel.namelist() if path.endswith(f".dist-info/{name}")]
    return wheel.read(path).decode()


def test_it_installs_our_four_folders_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    tops = {path.partition("/")[0] for path in wheel.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {
        "common",
        "ingress",
        "workers",
        "longhaul",
    }


def test_it_carries_what_the_code_reads_beside_itself(wheel: zipfile.ZipFile) -> None:
    beside = {
        path.relative_to(ROOT).as_posix()
        for top in ("common", "ingress", "workers", "longhaul")
        for path in (ROOT / top).rglob("*")
        if path.is_file() and path.suffix not in {".py", ".pyc"}
    }
    assert beside <= set(wheel.namelist())


def test_it_installs_one_command(wheel: zipfile.ZipFile) -> None:
    entries = configparser.ConfigParser()
    entries.read_file(io.StringIO(metadata(wheel, "entry_points.txt")))
    assert entries.sections() == ["console_scripts"]
    assert dict(entries["console_scripts"]) == {"longhaul": "longhaul.main:main"}


def test_it_carries_its_licence(wheel: zipfile.ZipFile) -> None:
    assert "Apache License" in metadata(wheel, "licenses/LICENSE")
    assert "License-Expression: Apache-2.0" in metadata(wheel, "METADATA")
