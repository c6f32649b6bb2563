"""How the fixture asks its caller: by the era of the request, one question or several at once."""

from collections.abc import Mapping
from typing import Any

from mcp.server.context import ServerRequestContext
from mcp.shared.message import ServerMessageMetadata
from mcp_types import (
    CallToolRequestParams,
    CreateMessageRequest,
    CreateMessageRequestParams,
    CreateMessageResult,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    GetPromptRequestParams,
    InputRequest,
    InputRequiredResult,
    InputResponse,
    ListRootsRequest,
    ListRootsResult,
    SamplingMessage,
    TextContent,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

Ctx = ServerRequestContext[Any, Any]
Answers = Mapping[str, InputResponse]

_ANSWER_TO: dict[type[InputRequest], type[InputResponse]] = {
    ElicitRequest: ElicitResult,
    CreateMessageRequest: CreateMessageResult,
    ListRootsRequest: ListRootsResult,
}


def form(message: str, *, required: tuple[str, ...], **properties: dict[str, Any]) -> ElicitRequest:
    schema = {"type": "object", "properties": properties, "required": list(required)}
    return ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=schema))


def sample(prompt: str, *, max_tokens: int = 100) -> CreateMessageRequest:
    message = SamplingMessage(role="user", content=TextContent(text=prompt))
    return CreateMessageRequest(
        params=CreateMessageRequestParams(messages=[message], max_tokens=max_tokens)
    )


async def ask(
    ctx: Ctx,
    params: CallToolRequestParams | GetPromptRequestParams,
    questions: Mapping[str, InputRequest],
    *,
    state: str | None = None,
) -> Answers | InputRequiredResult:
    """The answers to all `questions`, or what to return in their stead (2026-07-28).

    A 2026-07-28 caller that left one out, or answered with the wrong kind, is asked again.
    An older caller is asked on its open request, one question after the other.
    """
    if ctx.protocol_version in MODERN_PROTOCOL_VERSIONS:
        given = params.input_responses or {}
        if all(
            isinstance(given.get(key), _ANSWER_TO[type(question)])
            for key, question in questions.items()
        ):
            return {key: given[key] for key in questions}
        return InputRequiredResult(input_requests=dict(questions), request_state=state)
    metadata = ServerMessageMetadata(related_request_id=ctx.request_id)
    return {
        key: await ctx.session.send_request(question, _ANSWER_TO[type(question)], metadata=metadata)
        for key, question in questions.items()
    }


def said(answer: InputResponse) -> str:
    """What an answer says, as text for a result."""
    if isinstance(answer, ListRootsResult):
        return ", ".join(str(root.uri) for root in answer.roots)
    if isinstance(answer, ElicitResult):
        return f"action={answer.action}, content={answer.content or {}}"
    contents = answer.content if isinstance(answer.content, list) else [answer.content]
    return " ".join(part.text for part in contents if isinstance(part, TextContent))


def field(answer: InputResponse, name: str) -> str:
    """One field of a filled form, or what was done with the form instead."""
    if not isinstance(answer, ElicitResult) or answer.content is None:
        return said(answer)
    return str(answer.content.get(name))
