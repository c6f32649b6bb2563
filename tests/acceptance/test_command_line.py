"""The command line as a person uses it: a real router process, real backends, real commands."""

import json
import re
import signal
import sys
from collections.abc import Iterator

import pytest

from tests.support.desk import GATED, Desk
from tests.support.waiting import wait_for


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    desk = Desk(tmp_path_factory.mktemp("desk"))
    sick = "import sys; print('no licence found', file=sys.stderr); sys.exit(3)"
    desk.configure(
        {
            "b": {"command": sys.executable, "args": [str(GATED)], "concurrency": 2},
            "sick": {"command": sys.executable, "args": ["-c", sick]},
        },
    )
    return desk


@pytest.fixture(scope="module")
def router(desk: Desk) -> Iterator[str]:
    with desk.router() as address:
        yield address


@pytest.mark.usefixtures("router")
class TestWithARouter:
    def test_a_call_prints_the_result(self, desk: Desk) -> None:
        ran = desk.run_process("call", "b__work", "--json", desk.work())
        assert (ran.code, ran.err) == (0, "")
        assert ran.out.strip()

    def test_a_call_as_json_is_the_job(self, desk: Desk) -> None:
        ran = desk.run("call", "b__work", "-a", f"log={desk.log}", "--priority", "7", "--json")
        assert ran.code == 0
        assert (ran.json["state"], ran.json["priority"]) == ("completed", 7)
        assert ran.json["result"]["content"]

    def test_a_tools_own_error_is_exit_1(self, desk: Desk) -> None:
        ran = desk.run("call", "b__work", "--json", desk.work(then="tool error"))
        assert ran.code == 1
        assert ran.out == ""
        assert "the tool reported an error" in ran.err

    def test_a_protocol_error_is_exit_1(self, desk: Desk) -> None:
        ran = desk.run("call", "b__work", "--json", desk.work(then="refuse"))
        assert ran.code == 1
        assert "failed" in ran.err

    def test_arguments_against_the_schema_are_exit_2(self, desk: Desk) -> None:
        ran = desk.run("call", "b__work", "--json", '{"steps": "many"}')
        assert ran.code == 2
        assert "at steps" in ran.err
        assert desk.run("call", "b__work", "-a", "steps=many").code == 2

    def test_unknown_tools_and_jobs_are_exit_4(self, desk: Desk) -> None:
        for words in (["call", "nope"], ["jobs", "show", "nope"], ["jobs", "cancel", "nope"]):
            ran = desk.run(*words)
            assert ran.code == 4, words
            assert "nope" in ran.err

    @pytest.mark.parametrize("words", ["jobs show", "batches show", "dead show", "keys revoke"])
    def test_an_empty_name_is_exit_2(self, desk: Desk, words: str) -> None:
        ran = desk.run(*words.split(), "")
        assert (ran.code, "an empty name is none of" in ran.err) == (2, True)

    def test_a_submitted_job_is_waited_for(self, desk: Desk) -> None:
        job = desk.run("submit", "b__work", "--json", desk.work(gate="later")).out.strip()
        running = desk.run("jobs", "result", job)
        assert (running.code, running.out.strip()) == (5, job)
        early = desk.run("jobs", "wait", job, "--timeout", "200ms")
        assert (early.code, early.out.strip()) == (5, job)
        assert f"longhaul jobs wait {job}" in early.err
        desk.gate("later").touch()
        assert desk.run("jobs", "wait", job).code == 0
        assert desk.run("jobs", "result", job, "--json").json["content"]

    def test_what_a_tool_says_is_read_while_it_runs(self, desk: Desk) -> None:
        work = desk.work(gate="said", steps=2, says="row")
        job = desk.run("submit", "b__work", "--json", work).out.strip()
        said = wait_for(lambda: desk.run("jobs", "logs", job).out)
        rows = [line for line in said.splitlines() if line.startswith("row")]
        assert rows == ["row 1", "row 2"]
        assert re.search(r"^\d\d:\d\d:\d\d info: log 2$", said, re.MULTILINE)
        with desk.start("jobs", "logs", "-f", job) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            first = process.stdout.readline()
            desk.gate("said").touch()
            rest, remarks = process.stdout.read(), process.stderr.read()
            assert process.wait(timeout=30) == 0
        assert (first + rest).startswith(said)
        assert f"job {job} has ended: completed" in remarks
        as_json = desk.run("jobs", "logs", job, "--from", "5", "--json")
        assert [json.loads(line)["text"] for line in as_json.out.splitlines()] == ["log 2"]
        assert desk.run("jobs", "logs", "nope").code == 4

    def test_who_stops_reading_is_told_that_the_job_goes_on(self, desk: Desk) -> None:
        job = desk.run("submit", "b__work", "--json", desk.work(gate="read", steps=1, says="row"))
        try:
            with desk.start("jobs", "logs", "-f", job.out.strip()) as process:
                assert process.stdout is not None
                assert process.stderr is not None
                process.stdout.readline()
                process.send_signal(signal.SIGINT)
                assert process.wait(timeout=30) == 5
                assert f"job {job.out.strip()} goes on" in process.stderr.read()
        finally:
            desk.gate("read").touch()

    def test_a_submission_with_a_key_may_be_repeated(self, desk: Desk) -> None:
        words = ("submit", "b__work", "--key", "nightly", "--json", desk.work(label="nightly"))
        job = desk.run(*words).out.strip()
        again = desk.run("call", *words[1:])
        assert again.code == 0
        assert desk.run(*words).out.strip() == job
        assert desk.log.read_text().count("nightly started") == 1
        other = desk.run(*words[:4], "--json", desk.work(label="else"))
        assert other.code == 2
        assert job in other.err

    def test_a_cancelled_job_is_exit_6(self, desk: Desk) -> None:
        job = desk.run("submit", "b__work", "--json", desk.work(gate="never")).out.strip()
        wait_for(lambda: "running" in desk.run("jobs", "show", job).out)
        assert desk.run("jobs", "cancel", job).code == 0
        assert desk.run("jobs", "wait", job).code == 6
        assert desk.run("jobs", "cancel", job, "--json").json["state"] == "cancelled"

    def test_jobs_are_listed_by_a_time_or_by_how_long_ago(self, desk: Desk) -> None:
        job = desk.run("submit", "b__work", "--json", desk.work()).out.strip()
        at = desk.run("jobs", "show", job, "--json").json["created_at"]

        def listed(*words: str) -> bool:
            jobs = desk.run("jobs", "ls", *words, "--json").json["jobs"]
            return job in [each["id"] for each in jobs]

        assert listed("--since", "1h")
        assert not listed("--until", "1h")
        assert listed("--since", at)
        assert not listed("--until", at)

    def test_ctrl_c_cancels_the_call_and_says_so(self, desk: Desk) -> None:
        with desk.start("call", "b__work", "--json", desk.work(gate="never")) as process:
            running = ("jobs", "ls", "--state", "running", "--json")
            (job,) = wait_for(lambda: desk.run(*running).json["jobs"])
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=20)
        assert process.returncode == 6
        assert f"cancelled job {job['id']}" in said
        assert desk.run("jobs", "show", job["id"], "--json").json["state"] == "cancelled"

    def test_it_can_be_seen_why_a_job_waits(self, desk: Desk) -> None:
        words = ("submit", "b__work", "--json", desk.work(gate="full"))
        jobs = [desk.run(*words).out.strip() for _ in range(4)]
        because = "queued behind 1 job; all 2 slots are busy"
        last = ("jobs", "show", jobs[3], "--json")
        # Workers tell with each beat.
        wait_for(lambda: desk.run(*last).json["waiting_because"] == because)
        assert because in desk.run("jobs", "ls").out
        shown = desk.run(*last).json
        assert [event["name"] for event in shown["events"]] == ["submitted"]
        desk.gate("full").touch()
        assert [desk.run("jobs", "wait", job).code for job in jobs] == [0] * 4

    def test_a_sick_backend_is_shown_with_its_last_words(self, desk: Desk) -> None:
        def states() -> dict[str, str]:
            listed = desk.run("backends", "--json").json["backends"]
            return {each["name"]: each["state"] for each in listed}

        # With a beat that comes between two of its starts.
        wait_for(lambda: states() == {"b": "ready", "sick": "down"}, seconds=30)
        ran = desk.run("backends")
        assert ran.code == 0
        assert "no licence found" in ran.out
        assert "exit status 3" in ran.out
        assert desk.run("backends", "ls", "--json").code == 0

    def test_the_rest_of_the_fleet(self, desk: Desk) -> None:
        tools = [tool["name"] for tool in desk.run("tools", "--json").json["tools"]]
        assert tools == ["b__work", "b__safe", "b__say", "b__hear"]
        (worker,) = desk.run("workers", "--json").json["workers"]
        assert worker["queues"]["b"]["slots"] == 2
        queues = {queue["name"] for queue in desk.run("queues", "--json").json["queues"]}
        assert queues == {"b", "sick"}
        for command in ("tools", "workers", "queues"):
            assert "b" in desk.run(command).out

    def test_a_second_router_on_the_folder_is_refused(self, desk: Desk, router: str) -> None:
        ran = desk.run_process("up", "--port", "0")
        assert ran.code == 2
        assert router in ran.err

    def test_a_taken_port_is_refused(self, desk: Desk, router: str) -> None:
        port = router.rpartition(":")[2]
        ran = desk.run_process("up", "--port", port, LONGHAUL_DATA=str(desk.folder / "other"))
        assert ran.code == 2
        assert "--port" in ran.err

    def test_an_address_in_the_environment_wins(self, desk: Desk, router: str) -> None:
        elsewhere = {"LONGHAUL_DATA": str(desk.folder / "nothing-here")}
        assert desk.run("tools", LONGHAUL_URL=f"{router}/mcp", **elsewhere).code == 0


class TestWithoutARouter:
    def test_nothing_answers_is_exit_3(self, desk: Desk) -> None:
        ran = desk.run("tools", LONGHAUL_URL="http://127.0.0.1:9")
        assert ran.code == 3
        assert "longhaul up" in ran.err

    @pytest.mark.parametrize(
        "words",
        [
            ("nonsense",),
            ("call",),
            ("call", "b__work", "--json", "{"),
            ("submit", "b__work", "--key", "two words"),
            ("jobs", "ls", "--state", "sleepy"),
            ("jobs", "ls", "--since", "yesterday"),
            ("dead", "ls", "--until", "2026-12-31"),
            ("jobs", "wait", "x", "--timeout", "soon"),
        ],
    )
    def test_a_command_that_makes_no_sense_is_exit_2(
        self, desk: Desk, words: tuple[str, ...]
    ) -> None:
        ran = desk.run(*words, LONGHAUL_URL="http://127.0.0.1:9")
        assert ran.code == 2
        assert ran.err.strip()

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (("worker", "--queue", "b=none"), "NAME=SLOTS"),
            (("worker",), "LONGHAUL_BROKER_URL"),
            (("up", "--config", "missing.yaml"), "missing.yaml"),
            (("up", "--host", "::"), "LONGHAUL_API_KEY"),
        ],
    )
    def test_a_role_that_cannot_start_is_exit_2(
        self, desk: Desk, words: tuple[str, ...], said: str
    ) -> None:
        ran = desk.run_process(*words)
        assert ran.code == 2
        assert said in ran.err
