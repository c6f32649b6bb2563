"""`resources`: documents for tools, agents and people to read: put, list, get and remove them."""

import mimetypes
import re
import sys
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer

from common.documents import MEDIA_TYPE, document_uri, is_sha256
from longhaul.client import Client
from longhaul.commands.options import AsJson, seconds
from longhaul.commands.speaking import connect
from longhaul.exits import NotThereError, UsageError
from longhaul.screen.documents import document_list
from longhaul.screen.output import out, print_json, say, show
from longhaul.screen.words import local_time, now, size

PIECE = 256 * 1024  # bytes
PAGE = 500  # documents in one answer
SHORTEST = 8  # characters of a hash that may stand for it
STDIO = "-"
_BEGINNING = re.compile(rf"[0-9a-f]{{{SHORTEST},63}}", re.ASCII)
_TYPES = {".jsonl": "application/x-ndjson", ".ndjson": "application/x-ndjson"}

File = Annotated[str, typer.Argument(metavar="FILE", help="What to put; - is stdin.")]
Hash = Annotated[
    str,
    typer.Argument(metavar="SHA256", help="As `ls` shows it, its beginning is enough, or its URI."),
]
Name = Annotated[
    str | None,
    typer.Option(help="What it is called; default: as the file.", show_default=False),
]
Type = Annotated[
    str | None,
    typer.Option("--type", help="Its media type; default: by its name.", show_default=False),
]
Everyone = Annotated[
    bool, typer.Option("--everyone", help="For every caller to read; operators only.")
]
Ttl = Annotated[
    str | None,
    typer.Option(
        metavar="DURATION", help="How long it stays, as 7d; default: for ever.", show_default=False
    ),
]
Owner = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="Whose entry; others' are for operators.", show_default=False
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out", "-o", metavar="FILE", help="Default: standard output.", show_default=False
    ),
]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, help="How many to show.")]


def register(app: typer.Typer) -> None:
    about = "Documents, for tools, agents and people to read."
    resources = typer.Typer(help=about, no_args_is_help=True)
    for command in (put, ls, get, rm):
        resources.command(command.__name__)(command)
    app.add_typer(resources, name="resources")


def put(
    file: File,
    name: Name = None,
    media_type: Type = None,
    everyone: Everyone = False,
    ttl: Ttl = None,
    as_json: AsJson = False,
) -> None:
    """Put a file; prints its SHA-256, by which whoever may see it gets it."""
    path = None if file == STDIO else Path(file)
    called = name if name is not None else (path.name if path else "")
    said: dict[str, Any] = {"name": called, "visibility": "everyone" if everyone else "own"}
    if (life := seconds(ttl, "--ttl")) is not None:
        said["ttl"] = life
    headers = {"content-type": media_type or _guess(called if path is None else path.name)}
    try:
        with nullcontext(sys.stdin.buffer) if path is None else path.open("rb") as source:
            if (
                path is not None and path.is_file()
            ):  # so that one that is too large is refused before it is sent
                headers["content-length"] = str(path.stat().st_size)
            with connect() as router:
                made = router.put_document(_pieces(source), headers, said)
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror or error}") from error
    if as_json:
        print_json(made)
        return
    out.print(made["sha256"], markup=False, soft_wrap=True)
    until = f", until {local_time(made['expires_at'])}" if made["expires_at"] else ""
    say(f"{size(made['size'])}, {made['content_type']}, {made['uri']}{until}")


def ls(limit: Limit = 100, as_json: AsJson = False) -> None:
    """List the documents that you may see, the newest first."""
    with connect() as router:
        found = list(islice(_documents(router), limit + 1))
    found, more = found[:limit], len(found) > limit
    if as_json:
        print_json({"documents": found})
    elif found:
        show(document_list(found, now()))
        if more:
            say(f"There are more; --limit {limit * 10} shows them.")
    else:
        say("No documents yet; `longhaul resources put FILE` makes one.")


def get(sha256: Hash, to: Out = None) -> None:
    """Get a document, as it was put."""
    with connect() as router:
        pieces = router.pieces(f"/v1/blobs/{_hash(router, sha256)}")
        if to is None:
            for piece in pieces:
                sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
            return
        _save(pieces, to)
    say(f"{to}: {size(to.stat().st_size)}")


def rm(sha256: Hash, owner: Owner = None, as_json: AsJson = False) -> None:
    """Remove a document. Others who put the same keep theirs."""
    with connect() as router:
        wanted = _hash(router, sha256)
        router.drop_document(wanted, owner)
    if as_json:
        print_json({"sha256": wanted, "removed": True})
    else:
        say(f"removed {wanted}")


def _documents(router: Client) -> Iterator[dict[str, Any]]:
    """All that the caller may see, the newest first; read page by page."""
    cursor: str | None = None
    while True:
        page = router.get("/v1/blobs", limit=PAGE, cursor=cursor)
        yield from page["documents"]
        cursor = page["cursor"]
        if cursor is None:
            return


def _hash(router: Client, text: str) -> str:
    """The whole one.

    Raises:
        UsageError: No hash, or the beginning of several.
        NotThereError: The beginning of none.
    """
    begun = text.removeprefix(document_uri("")).lower()
    if is_sha256(begun):
        return begun
    if _BEGINNING.fullmatch(begun) is None:
        raise UsageError(
            f"{text} is no SHA-256, nor {SHORTEST} characters or more of one; "
            "`longhaul resources ls` shows them"
        )
    found = {each["sha256"] for each in _documents(router) if each["sha256"].startswith(begun)}
    match sorted(found):
        case [only]:
            return str(only)
        case []:
            raise NotThereError(
                f"no document begins with {text}; `longhaul resources ls` shows them"
            )
        case several:
            raise UsageError(f"{text} begins several documents: {', '.join(several)}")


def _guess(name: str) -> str:
    return _TYPES.get(Path(name).suffix.lower()) or mimetypes.guess_type(name)[0] or MEDIA_TYPE


def _pieces(source: BinaryIO) -> Iterator[bytes]:
    while piece := source.read(PIECE):
        yield piece


def _save(pieces: Iterator[bytes], to: Path) -> None:
    """Beside it first: the file is there once it is whole."""
    part = to.with_name(f"{to.name}.part")
    try:
        with part.open("wb") as file:
            for piece in pieces:
                file.write(piece)
        part.replace(to)
    except OSError as error:
        raise UsageError(f"{to}: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
