"""Documents on the wire."""

from typing import Annotated

from fastapi import Query
from pydantic import AfterValidator, Field

from common.documents import LONGEST_NAME, Document, Visibility, document_uri, is_name
from ingress.api.job_view import rfc3339, rfc3339_or_none
from ingress.api.key_shapes import LONGEST_LIFE
from ingress.api.shapes import Shape


def _a_name(text: str) -> str:
    if not is_name(text):
        raise ValueError(f"should be at most {LONGEST_NAME} printable characters")
    return text


DocumentName = Annotated[
    str, AfterValidator(_a_name), Query(description="for people; as a file's, without its folder")
]
Life = Annotated[
    float | None,
    Query(gt=0, le=LONGEST_LIFE, description="seconds until it goes; default: never by itself"),
]


class StoredDocument(Shape):
    sha256: str
    size: int = Field(description="bytes")
    uri: str = Field(description="as a resource over MCP")
    name: str
    content_type: str
    owner: str = Field(description="the caller that put it")
    visibility: Visibility = Field(description="own: its owner's and operators'; everyone")
    created_at: str
    expires_at: str | None


class StoredDocuments(Shape):
    documents: list[StoredDocument]
    cursor: str | None = Field(description="pass it on for the next page; null: there is none")


def show_document(document: Document) -> StoredDocument:
    return StoredDocument(
        sha256=document.sha256,
        size=document.size,
        uri=document_uri(document.sha256),
        name=document.name,
        content_type=document.media_type,
        owner=document.owner,
        visibility=document.visibility,
        created_at=rfc3339(document.created_at),
        expires_at=rfc3339_or_none(document.expires_at),
    )
