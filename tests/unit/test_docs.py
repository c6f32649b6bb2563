"""The documentation says what is so: links, commands, variables, settings, routes, examples."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from fastapi import APIRouter
from fastapi.routing import APIRoute

from common.config.document import Document
from common.config.environment import SECRETS, SHORT, read_environment
from common.config.load import load_settings
from common.config.problems import DEFAULT
from common.config.schema import keys_of
from common.config.tree import Node
from docs import generate_settings, generate_states, settings_words
from ingress.api import (
    backends,
    batches,
    blobs,
    callbacks,
    dead_letters,
    fleet,
    health,
    jobs,
    keys,
    output,
)
from ingress.errors import PROBLEMS
from ingress.mcp.own_tools import BATCH, TOOLS
from longhaul.exits import Exit
from tests.support.command_line import complaint
from tests.support.pages import Page, pages

PAGES = pages()
every_page = pytest.mark.parametrize("page", PAGES, ids=str)


def named(name: str) -> Page:
    return next(page for page in PAGES if page.path.name == name)


@every_page
def test_every_link_within_the_repository_leads_somewhere(page: Page) -> None:
    broken = []
    for link in page.links():
        target, _, anchor = link.partition("#")
        file = (page.path.parent / target).resolve() if target else page.path
        if not file.exists() or (anchor and anchor not in Page(file).anchors()):
            broken.append(link)
    assert not broken


@every_page
def test_every_command_exists_or_is_planned(page: Page) -> None:
    """With its options. `longhaul check` fails this page when it is called otherwise one day."""
    wrong = {
        " ".join(command.words): said
        for command in page.commands()
        if (said := complaint(command.words)) and not command.planned
    }
    assert not wrong


@every_page
def test_every_variable_is_one_that_longhaul_knows(page: Page) -> None:
    found = read_environment(
        dict.fromkeys(page.variables(), "1"), Node(value={}, origin=DEFAULT)
    ).warnings
    assert not [str(warning) for warning in found]


@every_page
def test_every_example_of_a_configuration_is_accepted(page: Page, tmp_path: Path) -> None:
    for number, block in enumerate(page.blocks("yaml")):
        if not set(yaml.safe_load(block)) <= set(keys_of(Document)):
            continue  # another program's
        file = tmp_path / f"{number}.yaml"
        file.write_text(block)
        environ = {"HOME": str(tmp_path), "ACME_TOKEN": "x"}
        load_settings(config_file=file, environ=environ, cwd=tmp_path, overrides={})


@every_page
def test_every_example_of_json_and_python_can_be_read(page: Page) -> None:
    for block in page.blocks("json"):
        json.loads(block)
    for block in page.blocks("python"):
        compile(block, str(page), "exec")


def test_every_setting_has_words_and_all_words_a_setting() -> None:
    """A change of the model fails here until docs/settings_words.py follows."""
    known = {name for name, _ in generate_settings.settings()}
    assert known == set(settings_words.WORDS)
    sections = re.findall(r"<!-- settings: (\S+) -->", named("configure.md").text)
    assert sections == list(settings_words.SECTIONS)


def test_the_tables_of_settings_are_fresh() -> None:
    """Otherwise: python -m docs.generate_settings."""
    page = named("configure.md").text
    assert page == generate_settings.fresh(page)
    assert "| `call_wait` | duration | `50s` |" in page


@pytest.mark.parametrize("section", settings_words.SECTIONS)
def test_no_table_of_settings_is_empty(section: str) -> None:
    assert generate_settings.table(section).count("\n") > 2  # the head and its line


def test_every_variable_of_a_name_of_its_own_and_every_secret_is_told() -> None:
    section = named("configure.md").text.partition("## From the environment")[2]
    table, _, files = section.partition("\n## ")[0].partition("Three are not settings")
    assert not [name for name in SHORT if f"`{name}`" not in table]
    assert not [name for name in SECRETS if f"`{name}`" not in files]


@pytest.mark.parametrize("file", generate_states.PAGES, ids=lambda file: str(file.name))
def test_the_states_are_fresh(file: Path) -> None:
    """Otherwise: python -m docs.generate_states."""
    page = file.read_text()
    assert page == generate_states.fresh(page)
    assert "input_required" in page


def test_the_rest_page_lists_the_routes_that_there_are() -> None:
    page = named("rest-api.md").text
    table = {
        (verb, path) for verb, path in re.findall(r"`(GET|HEAD|POST|PUT|DELETE) (/\S*)`", page)
    }
    parts = (jobs, output, callbacks, dead_letters, fleet, backends, keys, blobs, batches)
    v1 = tuple(part.router for part in parts)
    routed = {route for router in v1 for route in routes(router, "/v1")}
    routed |= set(routes(health.router, ""))
    assert table == routed


def routes(router: APIRouter, prefix: str) -> Iterator[tuple[str, str]]:
    for route in router.routes:
        assert isinstance(route, APIRoute)
        for verb in route.methods or ():
            yield verb, prefix + route.path


def test_the_rest_page_lists_the_problems_that_there_are() -> None:
    told = re.findall(r"\| `(urn:longhaul:error:\S+)` \| (\d+) \|", named("rest-api.md").text)
    assert sorted(told) == sorted((each.type, str(each.status)) for each in PROBLEMS)


def test_the_arguments_of_longhauls_own_tools_are_told() -> None:
    row = re.compile(r"^\| `(longhaul_\w+)` \| (.+?) \|", re.MULTILINE)
    told = row.findall(named("connect-a-client.md").text)
    schemas = {name: tool.input_schema for name, tool in TOOLS.items() if name != BATCH}
    assert {name: re.findall(r"`(\w+)`", arguments) for name, arguments in told} == {
        name: list(schema["properties"]) for name, schema in schemas.items()
    }


def test_the_exit_codes_are_told() -> None:
    section = named("operate.md").text.partition("## Exit codes")[2].partition("\n## ")[0]
    assert re.findall(r"^\| (\d) \|", section, re.MULTILINE) == [str(int(code)) for code in Exit]
