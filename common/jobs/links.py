"""The address of a job's result as an MCP resource, whole or a range of it."""

import re
from dataclasses import dataclass

from common.jobs.ids import is_job_id

MEDIA_TYPE = "application/json"
LINK = "resource_link"  # the type of content that names a resource
KEPT = "longhaul/result"  # in the `_meta` of a preview: where the whole is
TEMPLATE = "longhaul://job/{job}/result{?offset,length}"
_URI = re.compile(
    r"longhaul://job/(?P<job>[^/?#]+)/result"
    r"(\?offset=(?P<offset>[0-9]{1,15})(&length=(?P<length>[0-9]{1,15}))?)?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultLink:
    job: str
    offset: int = 0  # bytes
    length: int | None = None  # None: to the end


def result_uri(job: str) -> str:
    return f"longhaul://job/{job}/result"


def result_path(job: str) -> str:
    """Over HTTP."""
    return f"/v1/jobs/{job}/result"


def read_link(uri: str) -> ResultLink | None:
    """None for what is no such address."""
    found = _URI.fullmatch(uri)
    if found is None or not is_job_id(found["job"]):
        return None
    length = None if found["length"] is None else int(found["length"])
    return ResultLink(job=found["job"], offset=int(found["offset"] or 0), length=length)
