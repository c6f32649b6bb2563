"""Files: what a tool handed over beside its result, each a blob of its job with a name. Pure."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from urllib.parse import quote, unquote

from common.blobs.base import Blob
from common.jobs.ids import is_job_id
from common.wire import dump_json, load_json

FILES = "files"  # the part of the record
MOST_FILES = 100  # of one result
OUTBOX_META = "longhaul/outbox"  # in `_meta` of a tool: it wants one; of a call: the folder
KEPT_META = "longhaul/file"  # in `_meta` of a link: what is kept
ANY_MEDIA_TYPE = "application/octet-stream"
TEMPLATE = "longhaul://job/{job}/files/{name}{?offset,length}"
_URI = re.compile(
    r"longhaul://job/(?P<job>[^/?#]+)/files/(?P<name>[^/?#]+)"
    r"(\?offset=(?P<offset>[0-9]{1,15})(&length=(?P<length>[0-9]{1,15}))?)?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    name: str  # as the tool called it; without a folder
    sha256: str
    size: int  # bytes
    media_type: str

    @property
    def blob(self) -> Blob:
        return Blob(sha256=self.sha256, size=self.size)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileLink:
    job: str
    name: str
    offset: int = 0  # bytes
    length: int | None = None  # None: to the end


def encode_files(files: Iterable[File]) -> bytes:
    return dump_json([asdict(each) for each in files])


def decode_files(raw: bytes | None) -> Mapping[str, File]:
    """By their names."""
    return {each["name"]: File(**each) for each in (load_json(raw) if raw is not None else ())}


def file_uri(job: str, name: str) -> str:
    return f"longhaul://job/{job}/files/{quote(name, safe='')}"


def file_path(job: str, name: str) -> str:
    """Over HTTP."""
    return f"/v1/jobs/{job}/files/{quote(name, safe='')}"


def read_file_link(uri: str) -> FileLink | None:
    """None for what is no such address."""
    found = _URI.fullmatch(uri)
    if found is None or not is_job_id(found["job"]):
        return None
    length = None if found["length"] is None else int(found["length"])
    return FileLink(
        job=found["job"],
        name=unquote(found["name"]),
        offset=int(found["offset"] or 0),
        length=length,
    )
