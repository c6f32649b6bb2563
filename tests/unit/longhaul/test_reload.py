"""What a reload takes over, and what it refuses as a whole."""

import os
from pathlib import Path

import pytest

from common.config.load import Loaded, load_settings
from common.config.model import Listen, Settings
from longhaul.assignment import RoleError
from longhaul.reload import LIVE, Reload, changes
from tests.support.journal import Journal

SERVER = "mcpServers: {a: {command: one}}\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "longhaul.yaml"
    file.write_text(SERVER)
    return file


@pytest.fixture
def reload(file: Path) -> Reload:
    def read() -> Loaded:
        kept = {"HOME": os.environ["HOME"], "LONGHAUL_DATA": str(file.parent)}
        return load_settings(config_file=file, environ=kept, cwd=file.parent, overrides={})

    return Reload(read().settings, read)


def test_what_can_change_does(reload: Reload, file: Path) -> None:
    file.write_text(SERVER.replace("one", "other") + "tools: {a__x: {priority: 9}}\n")
    settings = reload()
    assert settings is reload.settings
    assert settings is not None
    assert settings.backends[0].command == "other"
    assert settings.tools["a__x"].priority == 9
    assert reload() is None, "nothing is new"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("tools: {a__x: {prio: 9}}\n", "longhaul.yaml:2"),
        ("tools: {a__x: {priority: 9}}\nnamespace: b\n", "namespace: only a restart"),
        ("listen: {port: 9999}\n", "listen.port: only a restart"),
    ],
)
def test_what_cannot_leaves_everything_as_it_was(
    reload: Reload, file: Path, said: Journal, text: str, words: str
) -> None:
    before = reload.settings
    file.write_text(SERVER + text)
    assert reload() is None
    assert reload.settings is before
    (line,) = said.of("config.not_reloaded")
    assert words in str(line["problems"])


def test_a_role_may_refuse(reload: Reload) -> None:
    def read() -> Loaded:
        raise RoleError("no backend's tools go to queue x")

    assert Reload(reload.settings, read)() is None


def test_a_door_that_is_open_to_others_keeps_its_keys(said: Journal) -> None:
    door = {"host": "192.0.2.1"}
    before = Settings.model_validate({"listen": door | {"api_keys": "ann=key"}})
    after = Loaded(
        settings=Settings.model_validate({"listen": door}), file=None, provenance={}, written={}
    )
    reload = Reload(before, lambda: after)
    assert reload() is None
    assert reload.settings is before
    assert said.of("config.not_reloaded")


def test_every_live_setting_is_one() -> None:
    assert {name for name in LIVE if "." not in name} <= set(Settings.model_fields)
    assert {name.partition(".")[2] for name in LIVE if "." in name} <= set(Listen.model_fields)
    one = Settings(listen=Listen(port=1), drain=1.0)
    other = Settings(listen=Listen(port=2), drain=2.0)
    assert changes(one, other) == ["drain", "listen.port"]
