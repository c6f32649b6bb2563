"""What a role says when it is up."""

import pytest

from longhaul.screen.ready import announcing


@pytest.mark.parametrize(
    ("address", "where"),
    [
        ("http://127.0.0.1:8080", "agents connect to http://127.0.0.1:8080/mcp\n"),
        ("http://[::1]:8080", "agents connect to http://[::1]:8080/mcp\n"),
        ("http://0.0.0.0:8070", "http://HOST:8070/mcp, where HOST is a name of this machine\n"),
        ("http://[::]:8070", "http://HOST:8070/mcp, where HOST is a name of this machine\n"),
    ],
)
def test_agents_are_told_an_address_that_can_be_connected_to(
    address: str, where: str, capsys: pytest.CaptureFixture[str]
) -> None:
    announcing(as_json=False)(address)
    assert capsys.readouterr().out.endswith(where)
