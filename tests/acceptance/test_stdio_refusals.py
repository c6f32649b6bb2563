"""What `longhaul stdio` says when it cannot begin."""

from pathlib import Path

from tests.support.bridged import BridgedDesk


def test_what_cannot_work_is_said_at_the_start(tmp_path: Path) -> None:
    desk = BridgedDesk(tmp_path)
    nobody = desk.run_process("stdio", LONGHAUL_URL="http://127.0.0.1:9")
    assert (nobody.code, nobody.out) == (3, "")
    assert "nothing answers at http://127.0.0.1:9" in nobody.err
    assert desk.run_process("stdio", LONGHAUL_URL="http://127.0.0.1:8o8").code == 2
    shared = {
        "LONGHAUL_BROKER_URL": "amqp://127.0.0.1:9",
        "LONGHAUL_STORE_URL": "redis://127.0.0.1",
    }
    elsewhere = desk.run_process("stdio", **shared)
    assert elsewhere.code == 2
    assert "LONGHAUL_URL" in elsewhere.err
    (tmp_path / "longhaul.yaml").write_text("mcpServers: {b: {comand: x}}")
    broken = desk.run_process("stdio")
    assert (broken.code, broken.out) == (2, "")
    assert "did you mean command?" in broken.err
    assert desk.run_process("stdio", "--idle-exit", "soon").code == 2
    assert not desk.router_runs()


def test_a_wrong_key_is_said_at_the_start(tmp_path: Path) -> None:
    desk = BridgedDesk(tmp_path, listen={"api_keys": ["right"]})
    with desk.router() as address:
        ran = desk.run_process("stdio", LONGHAUL_URL=address, LONGHAUL_API_KEY="wrong")
    assert ran.code == 2
    assert "needs an API key" in ran.err
