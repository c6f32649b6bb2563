"""`longhaul drill` as an operator uses it, on a deployment of its own, and what it must report."""

import asyncio
import json
import re
import shlex
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from common.brokers.rabbitmq.topology import names
from tests.support.backends import counting_twice
from tests.support.desk import LONGHAUL, STARTED_WITHIN, Desk
from tests.support.namespaces import Namespace
from tests.support.private import PrivateServer
from tests.support.rabbitmq import has_queue
from tests.support.waiting import wait_for

pytestmark = pytest.mark.timeout(300)

FLUSH = "import redis, sys; redis.Redis.from_url(sys.argv[1]).flushall()"


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    desk = Desk(tmp_path)
    configure(desk, (*LONGHAUL, "drill", "probe"))
    return desk


def configure(desk: Desk, probe: tuple[str, ...]) -> None:
    program, *words = probe
    words = [*words, str(desk.folder / "starts")]
    again = {"repeatable": True, "retry": {"first": "200ms", "max": "1s"}}
    backend = {"command": program, "args": words, "concurrency": 3}
    desk.configure({"drill": backend}, tools={"drill__again": again})


def plan(desk: Desk, *scenarios: Mapping[str, Any], **more: Any) -> str:
    file = desk.folder / "plan.yaml"
    said = {"starts": str(desk.folder / "starts"), "jobs": 12, "seconds": 0.5, **more}
    file.write_text(json.dumps(said | {"scenarios": scenarios}))  # JSON is YAML
    return str(file)


@contextmanager
def deployed(
    desk: Desk, rabbit: PrivateServer, redis: PrivateServer, namespace: Namespace
) -> Iterator[dict[str, str]]:
    """An ingress and two workers; how a command reaches them."""
    servers = {
        "LONGHAUL_BROKER_URL": rabbit.url,
        "LONGHAUL_STORE_URL": redis.url,
        "LONGHAUL_NAMESPACE": namespace,
        "LONGHAUL_API_KEY": "olga=the-key",
    }
    one, other = (servers | {"LONGHAUL_DATA": str(desk.folder / name)} for name in ("w1", "w2"))
    with (
        desk.role("ingress", "--port", "0", **servers) as face,
        desk.role("worker", **one),
        desk.role("worker", **other),
    ):
        mine = {"LONGHAUL_URL": face["address"], "LONGHAUL_API_KEY": "olga=the-key"}

        def ready() -> bool:
            (drill,) = desk.run("backends", "--json", **mine).json["backends"] or [{}]
            replicas = drill.get("replicas", [])
            return len(replicas) == 2 and all(each["state"] == "ready" for each in replicas)

        wait_for(ready, seconds=STARTED_WITHIN, every=0.2)
        yield mine


@contextmanager
def on_request(folder: Path, act: Any) -> Iterator[str]:
    """A command that has this done here, and waits until it is."""
    asked, done = folder / "asked", folder / "done"

    def serve() -> None:
        wait_for(asked.exists, seconds=120)
        act()
        done.touch()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"touch {asked}; until [ -e {done} ]; do sleep 0.1; done"
    finally:
        asked.touch()
        thread.join()


def test_nothing_is_lost_and_nothing_runs_twice(
    desk: Desk, private_rabbit: PrivateServer, private_redis: PrivateServer, namespace: Namespace
) -> None:
    with (
        deployed(desk, private_rabbit, private_redis, namespace) as mine,
        on_request(desk.folder, private_rabbit.restart) as restart,
    ):
        file = plan(
            desk,
            {"name": "a worker is killed", "fault": "kill worker"},
            {"name": "a backend stalls", "fault": "stall backend", "hold": "1s"},
            {"name": "the broker restarts", "command": restart},
        )
        ran = desk.run("drill", "--plan", file, "--json", **mine)
        assert ran.code == 0, ran.err
        assert ran.json["passed"]
        for found in ran.json["scenarios"]:
            assert found["jobs"] == 12
            assert found["completed"] + found["unknown"] == 12, found
            assert 0 < found["first"] <= found["all"]
        killed, stalled, restarted = ran.json["scenarios"]
        assert killed["unknown"] <= 3, "what ran once in the worker that was killed"
        assert stalled["completed"] == restarted["completed"] == 12


def test_it_cuts_links_of_its_own_processes_and_leaves_nothing(
    desk: Desk, private_rabbit: PrivateServer, private_redis: PrivateServer
) -> None:
    mine = {"LONGHAUL_BROKER_URL": private_rabbit.url, "LONGHAUL_STORE_URL": private_redis.url}
    only = ("a worker is cut off from the broker for 8 s", "a worker is cut off from both for 20 s")
    ran = desk.run("drill", "--servers", "--json", *(f"--only={name}" for name in only), **mine)
    assert ran.code == 0, ran.err
    broker, both = ran.json["scenarios"]
    assert broker["completed"] == 20, "whoever loses the broker goes on with what runs"
    assert 0 < both["completed"] + both["unknown"] == 20
    with redis.Redis.from_url(private_redis.url) as store:
        assert list(store.scan_iter("*drill-*")) == []
    (namespace,) = re.findall(r"drill-[0-9a-f]{8}", ran.err)
    for queue in names(namespace, ["drill"]).queues:
        assert not asyncio.run(has_queue(private_rabbit.url, queue))


def test_links_need_servers_that_they_can_carry(desk: Desk) -> None:
    ran = desk.run("drill", "--servers")
    assert (ran.code, "set LONGHAUL_BROKER_URL and LONGHAUL_STORE_URL" in ran.err) == (2, True)
    safe = {"LONGHAUL_BROKER_URL": "amqps://a", "LONGHAUL_STORE_URL": "rediss://b"}
    ran = desk.run("drill", "--servers", **safe)
    assert (ran.code, "to amqp:// and redis:// only" in ran.err) == (2, True)


def test_a_store_that_forgets_is_reported(
    desk: Desk, private_rabbit: PrivateServer, private_redis: PrivateServer, namespace: Namespace
) -> None:
    """The control: what an operator's deployment must not do."""
    with deployed(desk, private_rabbit, private_redis, namespace) as mine:
        forget = shlex.join([sys.executable, "-c", FLUSH, private_redis.url])
        file = plan(desk, {"name": "it forgets", "command": forget}, within="8s", seconds=2)
        ran = desk.run("drill", "--plan", file, **mine)
        assert ran.code == 1, ran.err
        assert "was accepted and is lost" in ran.err
        assert "never" in ran.out


def test_a_second_start_is_reported(desk: Desk) -> None:
    configure(desk, (sys.executable, str(counting_twice.__file__)))
    with desk.role("up", "--port", "0"):
        wait_for(lambda: desk.run("tools", "--json").json["tools"], seconds=STARTED_WITHIN)
        file = plan(desk, {"name": "nothing happens", "command": "true"}, jobs=4)
        ran = desk.run("drill", "--plan", file)
        assert ran.code == 1
        assert ran.err.count("was started twice") == 2, "of those that may not run again"


def test_a_count_that_could_not_see_a_double_run_is_said(desk: Desk) -> None:
    with desk.role("up", "--port", "0"):
        wait_for(lambda: desk.run("tools", "--json").json["tools"], seconds=STARTED_WITHIN)
        of_the_warm_up = f"head -n 2 {desk.folder / 'starts'}"
        file = plan(desk, {"name": "n", "command": "true"}, jobs=2, read_starts=of_the_warm_up)
        ran = desk.run("drill", "--plan", file)
        assert (ran.code, "does not cover all probes" in ran.err) == (2, True)


def test_what_cannot_be_drilled_is_said(desk: Desk) -> None:
    with desk.role("up", "--port", "0"):
        wait_for(lambda: desk.run("tools", "--json").json["tools"], seconds=STARTED_WITHIN)
        nothing = {"name": "n", "command": "true"}
        ran = desk.run("drill", "--plan", plan(desk, nothing, backend="other"))
        assert (ran.code, "longhaul, args: [drill, probe, FILE]" in ran.err) == (2, True)
        ran = desk.run("drill", "--plan", plan(desk, nothing, starts=str(desk.folder / "none")))
        assert (ran.code, "is it the right file?" in ran.err) == (2, True)
        broken = {"name": "broken", "command": "echo no; exit 3"}
        ran = desk.run("drill", "--plan", plan(desk, {"name": "whole", "command": "true"}, broken))
        assert (ran.code, "exit status 3: no" in ran.err) == (2, True)
        assert "whole" in ran.out, "what was found before it is told"
        ran = desk.run("drill", "--plan", plan(desk, nothing), "--only", "m")
        assert (ran.code, "there are: n" in ran.err) == (2, True)


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_whatever_ends_it_the_fault_is_mended(desk: Desk, end: signal.Signals) -> None:
    cut = desk.folder / "cut"
    harm = {"name": "cut", "command": f"touch {cut}", "restore": f"rm {cut}", "hold": "1h"}
    with desk.role("up", "--port", "0"):
        wait_for(lambda: desk.run("tools", "--json").json["tools"], seconds=STARTED_WITHIN)
        with desk.start("drill", "--plan", plan(desk, harm, jobs=2)) as drill:
            wait_for(cut.exists, seconds=STARTED_WITHIN)
            drill.send_signal(end)
            drill.communicate(timeout=20)
        assert drill.returncode == 130, "as after Ctrl-C"
        assert not cut.exists()


def test_without_a_plan_it_makes_a_router_of_its_own(desk: Desk) -> None:
    ran = desk.run("drill", "--only", "the router is killed", "--json")
    assert ran.code == 0, ran.err
    (found,) = ran.json["scenarios"]
    assert found["jobs"] == 20
    assert found["lost"] == found["twice"] == []
