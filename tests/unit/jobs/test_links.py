"""The address of a result, and what is none."""

import pytest

from common.jobs.links import ResultLink, read_link, result_uri

JOB = "01m7xrk4zp6zttncj76565"


def test_a_link_and_a_part_of_what_it_names() -> None:
    uri = result_uri(JOB)
    assert read_link(uri) == ResultLink(job=JOB)
    assert read_link(f"{uri}?offset=5") == ResultLink(job=JOB, offset=5)
    assert read_link(f"{uri}?offset=5&length=7") == ResultLink(job=JOB, offset=5, length=7)


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "file:///etc/passwd",
        "longhaul://job/../result",
        f"longhaul://job/{JOB}/result/",
        f"longhaul://job/{JOB}/result?length=7",
        f"longhaul://job/{JOB}/result?offset=-1",
        f"longhaul://job/{JOB}/result?offset=٣",
        f"LONGHAUL://job/{JOB}/result\n",
    ],
)
def test_nothing_else_is_one(uri: str) -> None:
    assert read_link(uri) is None
