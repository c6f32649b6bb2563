"""docker-compose.yml and what stands beside it, as far as that can be held without an engine."""

import re
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from common.brokers.rabbitmq.topology import CONSUMER_TIMEOUT_MS
from common.config.load import Loaded, load_settings
from common.config.validate import check_listen
from common.routing.rules import Rules
from common.telemetry.metrics import Metrics
from tests.support.command_line import complaint
from tests.support.sources import PRODUCT, ROOT

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
ROLES = {name: each for name, each in SERVICES.items() if "build" in each}
DOCKERFILE = (ROOT / "infra" / "docker" / "Dockerfile").read_text()
_VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")

every_service = pytest.mark.parametrize("name", SERVICES)
every_role = pytest.mark.parametrize("name", ROLES)


def filled(text: str, environ: dict[str, str]) -> str:
    """As Compose fills in variables."""

    def value(match: re.Match[str]) -> str:
        name, kind, words = match.groups()
        if kind == "?" and not environ.get(name):
            raise LookupError(words)
        return environ.get(name) or (words if kind == "-" else "")

    return _VARIABLE.sub(value, text)


def configuration(name: str, tmp_path: Path) -> Loaded:
    """What a role would read in its container."""
    environ = {
        key: filled(value, {"LONGHAUL_API_KEY": "ours"})
        for key, value in SERVICES[name]["environment"].items()
    }
    file = next(source for source, target in mounts(name) if target == from_image("CONFIG"))
    return load_settings(
        config_file=ROOT / file,
        environ=environ | {"HOME": str(tmp_path)},
        cwd=tmp_path,
        overrides={"listen.host": "0.0.0.0"},  # noqa: S104 - what the commands say
    )


def mounts(name: str) -> list[tuple[str, str]]:
    found = [volume.split(":") for volume in SERVICES[name].get("volumes", ())]
    return [(source, target) for source, target, *_ in found]


def from_image(setting: str) -> str:
    found = re.search(rf"LONGHAUL_{setting}=(\S+)", DOCKERFILE)
    assert found
    return found[1]


def command(name: str) -> list[str]:
    """The words after `longhaul`: the service's own, else those of its target."""
    if "command" in SERVICES[name]:
        words: list[str] = SERVICES[name]["command"]
        return words
    target = SERVICES[name]["build"]["target"]
    block = DOCKERFILE.partition(f" AS {target}\n")[2].partition("\nFROM ")[0]
    found = re.search(r"^CMD (\[.*\])$", block, re.MULTILINE)
    assert found
    parsed: list[str] = yaml.safe_load(found[1])
    return parsed


def test_it_has_the_parts_of_a_deployment() -> None:
    images = {name: each["image"] for name, each in SERVICES.items()}
    assert images["rabbitmq"].startswith("rabbitmq:4.3")
    assert images["redis"].startswith("redis:8")
    targets = [each["build"]["target"] for each in ROLES.values()]
    assert sorted(targets) == ["ingress", "worker", "worker"]


@every_service
def test_every_service_is_watched_and_stopped_with_patience(name: str) -> None:
    service = SERVICES[name]
    assert service["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}
    assert service["stop_grace_period"]
    assert service["restart"] == "unless-stopped"
    assert ":" in service["image"] or "build" in service, "an image without a version"


@every_service
def test_everything_named_is_there(name: str) -> None:
    for source, _ in mounts(name):
        assert (ROOT / source).is_file() if source.startswith(".") else source in COMPOSE["volumes"]
    assert set(SERVICES[name]["networks"]) <= set(COMPOSE["networks"])
    assert set(SERVICES[name].get("depends_on", ())) <= set(SERVICES)


def test_only_the_proxy_is_reachable_and_only_from_this_machine() -> None:
    ports = {name: each["ports"] for name, each in SERVICES.items() if "ports" in each}
    assert list(ports) == ["proxy"]
    assert all(port.startswith("127.0.0.1:") for port in ports["proxy"])
    for name in ("rabbitmq", "redis"):
        networks = SERVICES[name]["networks"]
        assert all(COMPOSE["networks"][each].get("internal") for each in networks)


@every_role
def test_no_role_starts_without_a_key(name: str) -> None:
    with pytest.raises(LookupError, match="secret of your own"):
        filled(SERVICES[name]["environment"]["LONGHAUL_API_KEY"], {})


@every_role
def test_every_role_is_a_command_with_a_configuration_that_is_accepted(
    name: str, tmp_path: Path
) -> None:
    loaded = configuration(name, tmp_path)
    assert not loaded.warnings
    assert check_listen(loaded.settings.listen) is None
    assert not loaded.settings.embedded
    assert complaint(command(name)) == ""
    # Its health check asks the port that its command names.
    port = command(name)[command(name).index("--port") + 1]
    assert f"127.0.0.1:{port}/readyz" in SERVICES[name]["healthcheck"]["test"][-1]


def test_the_pools_serve_every_queue_of_the_configuration(tmp_path: Path) -> None:
    served = set()
    for name in ROLES:
        words = command(name)
        after = (word for before, word in pairwise(words) if before == "--queue")
        served |= {word.partition("=")[0] for word in after}
    assert served == set(Rules(configuration("worker", tmp_path).settings).queue_backends())


def test_the_images_hold_what_they_need_and_run_as_nobody_special() -> None:
    copied = set(re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE))
    sources = {word for line in copied for word in line.split()}
    assert sources >= {*PRODUCT, "requirements.txt", "requirements-build.txt", "pyproject.toml"}
    assert all((ROOT / source).exists() for source in sources)
    ignored = (ROOT / "infra" / "docker" / "Dockerfile.dockerignore").read_text().split()
    assert {f"!{source}" for source in sources} <= set(ignored)
    installs = re.findall(r"pip install (.*)", DOCKERFILE)
    assert all("--require-hashes" in each or "--no-index" in each for each in installs)
    assert re.search(r"^USER longhaul$", DOCKERFILE, re.MULTILINE)


def test_the_proxy_stands_before_two_ingresses_that_open_what_the_other_sealed() -> None:
    ingress, proxy = SERVICES["ingress"], SERVICES["proxy"]
    assert ingress["deploy"]["replicas"] == 2
    assert set(proxy["networks"]) & set(ingress["networks"])
    assert ingress["environment"]["LONGHAUL_SECRET_KEY"]
    said = (ROOT / "infra" / "nginx" / "nginx.conf").read_text()
    port = command("ingress")[command("ingress").index("--port") + 1]
    assert f"server ingress:{port} resolve;" in said
    (listens,) = re.findall(r"listen (\d+);", said)
    assert all(published.endswith(f":{listens}") for published in proxy["ports"])
    assert "proxy_buffering off;" in said


def test_redis_and_rabbitmq_keep_what_they_are_given() -> None:
    redis = dict(lines(ROOT / "infra" / "redis" / "redis.conf", " "))
    assert redis["appendonly"] == "yes"
    assert redis["appendfsync"] in {"everysec", "always"}
    assert redis["maxmemory-policy"] == "noeviction"
    rabbit = dict(lines(ROOT / "infra" / "rabbitmq" / "rabbitmq.conf", " = "))
    assert int(rabbit["consumer_timeout"]) == CONSUMER_TIMEOUT_MS


def lines(file: Path, between: str) -> list[tuple[str, str]]:
    said = (line for line in file.read_text().splitlines() if line and not line.startswith("#"))
    return [(line.partition(between)[0], line.partition(between)[2]) for line in said]


def test_the_observability_examples_ask_for_metrics_and_services_that_exist() -> None:
    folder = ROOT / "infra" / "observability"
    prometheus = yaml.safe_load((folder / "prometheus.yml").read_text())
    for job in prometheus["scrape_configs"]:
        assert job["authorization"]["credentials_file"]
        for names in job["dns_sd_configs"]:
            assert set(names["names"]) <= set(ROLES)
            assert all(str(names["port"]) in command(each) for each in names["names"])
    for file in prometheus["rule_files"]:
        asked = set(re.findall(r"longhaul_\w+", (folder / file).read_text()))
        assert asked
        there = {
            f"{metric.name}_total" if metric.type == "counter" else metric.name
            for metric in Metrics().registry.collect()
        }
        assert asked <= there


def test_compose_itself_accepts_it() -> None:
    """Where there is a Compose to ask; it needs no engine for that."""
    docker = shutil.which("docker")
    plugin = docker and subprocess.run(
        [docker, "compose", "version"], capture_output=True, check=False
    )
    if not plugin or plugin.returncode:
        pytest.skip("no docker compose here")
    asked = [str(docker), "compose", "--file", str(ROOT / "docker-compose.yml"), "config", "-q"]
    environ = {"LONGHAUL_API_KEY": "x", "PATH": "/usr/bin:/bin", "HOME": str(ROOT)}
    accepted = subprocess.run(asked, env=environ, capture_output=True, text=True, check=False)
    assert accepted.returncode == 0, accepted.stderr
    refused = subprocess.run(
        asked, env=environ | {"LONGHAUL_API_KEY": ""}, capture_output=True, text=True, check=False
    )
    assert "LONGHAUL_API_KEY" in refused.stderr
    assert refused.returncode
