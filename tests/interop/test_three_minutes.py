"""A tool of three minutes is answered to a client that waits for one minute, on its defaults."""

from collections.abc import Mapping
from concurrent.futures import Future

import pytest

from tests.interop.long_call import SECONDS, WAITING, Answers


@pytest.mark.timeout(SECONDS + 60)
@pytest.mark.parametrize("name", WAITING)
def test_a_tool_of_three_minutes_is_answered(
    name: str, three_minutes: Mapping[str, Future[Answers]]
) -> None:
    answers = three_minutes[name].result()
    if name == "typescript-legacy":
        assert len(answers) >= 3  # each within the client's minute
    else:
        assert len(answers) == 1  # the library itself comes back for the result
    last = answers[-1]
    assert last["content"][0]["text"] == (
        f"Long running operation completed. Duration: {SECONDS} seconds, Steps: {SECONDS}."
    )
    assert not last.get("isError", False)
