"""The fixture's tools that ask their caller before they answer, and the one prompt that does."""

from collections.abc import Callable

import anyio
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    ClientCapabilities,
    ElicitationCapability,
    GetPromptRequestParams,
    GetPromptResult,
    InputRequest,
    InputRequiredResult,
    ListRootsRequest,
    PromptMessage,
    RootsCapability,
    SamplingCapability,
    TextContent,
    Tool,
)

from tests.conformance.asking import Answers, Ctx, ask, field, form, said, sample
from tests.conformance.tools import Handler, text, tool

_STRING = {"type": "string"}
_NAME = form("What is your name?", required=("name",), name=_STRING)
_CONFIRM = form("Please confirm", required=("ok",), ok={"type": "boolean"})

_DEFAULTS = form(
    "Please check your details",
    required=(),
    name={"type": "string", "default": "John Doe"},
    age={"type": "integer", "default": 30},
    score={"type": "number", "default": 95.5},
    status={"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
    verified={"type": "boolean", "default": True},
)
_THREE = ["option1", "option2", "option3"]
_TITLED = [
    {"const": "value1", "title": "First"},
    {"const": "value2", "title": "Second"},
    {"const": "value3", "title": "Third"},
]
_ENUMS = form(
    "Please choose",
    required=(),
    untitledSingle={"type": "string", "enum": _THREE},
    titledSingle={"type": "string", "oneOf": _TITLED},
    legacyEnum={
        "type": "string",
        "enum": ["opt1", "opt2", "opt3"],
        "enumNames": ["Option One", "Option Two", "Option Three"],
    },
    untitledMulti={"type": "array", "items": {"type": "string", "enum": _THREE}},
    titledMulti={"type": "array", "items": {"anyOf": _TITLED}},
)


def asking(
    questions: Callable[[CallToolRequestParams], dict[str, InputRequest]],
    conclude: Callable[[Answers], str],
    *,
    state: str | None = None,
    seconds: float = 0.0,
) -> Handler:
    """A tool of one round: the questions, then, `seconds` later, what follows from the answers."""

    async def handle(
        ctx: Ctx, params: CallToolRequestParams
    ) -> CallToolResult | InputRequiredResult:
        answers = await ask(ctx, params, questions(params), state=state)
        if isinstance(answers, InputRequiredResult):
            return answers
        if params.request_state not in {state, None}:
            raise MCPError(INVALID_PARAMS, "This state was never given out")
        await anyio.sleep(seconds)
        return text(conclude(answers))

    return handle


def always(**questions: InputRequest) -> Callable[[CallToolRequestParams], dict[str, InputRequest]]:
    return lambda _params: questions


async def multi_round(
    ctx: Ctx, params: CallToolRequestParams
) -> CallToolResult | InputRequiredResult:
    """Two rounds; the first answer travels in the state of the second."""
    mark = "named:"
    state = params.request_state
    if state is None or not state.startswith(mark):
        step1 = form("Step 1: What is your name?", required=("name",), name=_STRING)
        first = await ask(ctx, params, {"step1": step1}, state="asked")
        if isinstance(first, InputRequiredResult):
            return first
        state = mark + field(first["step1"], "name")
    step2 = form("Step 2: What is your favorite color?", required=("color",), color=_STRING)
    second = await ask(ctx, params, {"step2": step2}, state=state)
    if isinstance(second, InputRequiredResult):
        return second
    return text(f"{state.removeprefix(mark)} likes {field(second['step2'], 'color')}.")


async def capabilities(
    ctx: Ctx, params: CallToolRequestParams
) -> CallToolResult | InputRequiredResult:
    """Ask only what this caller says that it can answer."""
    can: list[tuple[ClientCapabilities, str, InputRequest]] = [
        (ClientCapabilities(elicitation=ElicitationCapability()), "user_name", _NAME),
        (ClientCapabilities(sampling=SamplingCapability()), "greeting", sample("Greet someone")),
        (ClientCapabilities(roots=RootsCapability()), "client_roots", ListRootsRequest()),
    ]
    questions = {
        key: question
        for needed, key, question in can
        if ctx.session.check_client_capability(needed)
    }
    if not questions:
        return text("This caller cannot be asked anything.")
    answers = await ask(ctx, params, questions)
    if isinstance(answers, InputRequiredResult):
        return answers
    return text("; ".join(map(said, answers.values())))


async def prompt_with_question(
    ctx: Ctx, params: GetPromptRequestParams
) -> GetPromptResult | InputRequiredResult:
    question = form("What context should the prompt use?", required=("context",), context=_STRING)
    answers = await ask(ctx, params, {"user_context": question})
    if isinstance(answers, InputRequiredResult):
        return answers
    line = f"In this context: {field(answers['user_context'], 'context')}"
    return GetPromptResult(messages=[PromptMessage(role="user", content=TextContent(text=line))])


def _elicitation(params: CallToolRequestParams) -> dict[str, InputRequest]:
    message = str((params.arguments or {}).get("message", "Who are you?"))
    return {"user": form(message, required=("username", "email"), username=_STRING, email=_STRING)}


def _sampling(params: CallToolRequestParams) -> dict[str, InputRequest]:
    return {"answer": sample(str((params.arguments or {}).get("prompt", "")))}


def _deletion(params: CallToolRequestParams) -> dict[str, InputRequest]:
    file = (params.arguments or {}).get("filename", "the file")
    return {"confirm": form(f"Delete {file}?", required=("confirm",), confirm={"type": "boolean"})}


_HELLO = "test_input_required_result_"

ASKING: list[tuple[Tool, Handler]] = [
    (
        tool("test_elicitation", "Asks who you are", required=("message",), message=_STRING),
        asking(_elicitation, lambda answers: f"User response: {said(answers['user'])}"),
    ),
    (
        tool("test_sampling", "Asks your model", required=("prompt",), prompt=_STRING),
        asking(_sampling, lambda answers: f"LLM response: {said(answers['answer'])}"),
    ),
    (
        tool("test_elicitation_sep1034_defaults", "Asks with defaults of every kind"),
        asking(
            always(user=_DEFAULTS),
            lambda answers: f"Elicitation completed: {said(answers['user'])}",
        ),
    ),
    (
        tool("test_elicitation_sep1330_enums", "Asks with choices of every kind"),
        asking(
            always(user=_ENUMS), lambda answers: f"Elicitation completed: {said(answers['user'])}"
        ),
    ),
    (
        tool("test_streaming_elicitation", "Asks for a name"),
        asking(
            always(user_name=_NAME),
            lambda answers: f"Hello, {field(answers['user_name'], 'name')}!",
        ),
    ),
    (
        tool(f"{_HELLO}elicitation", "Asks for a name"),
        asking(
            always(user_name=_NAME),
            lambda answers: f"Hello, {field(answers['user_name'], 'name')}!",
        ),
    ),
    (
        tool(f"{_HELLO}sampling", "Asks a model for a capital"),
        asking(
            always(capital_question=sample("What is the capital of France?")),
            lambda answers: said(answers["capital_question"]),
        ),
    ),
    (
        tool(f"{_HELLO}list_roots", "Asks for the roots"),
        asking(
            always(client_roots=ListRootsRequest()),
            lambda answers: f"Roots: {said(answers['client_roots'])}",
        ),
    ),
    (
        tool(f"{_HELLO}request_state", "Asks, and wants its state back"),
        asking(always(confirm=_CONFIRM), lambda _answers: "state-ok", state="opened"),
    ),
    (
        tool(f"{_HELLO}tampered_state", "Asks, and wants its state back untouched"),
        asking(always(confirm=_CONFIRM), lambda _answers: "state-ok", state="sealed"),
    ),
    (
        tool(f"{_HELLO}multiple_inputs", "Asks three things at once"),
        asking(
            always(
                user_name=_NAME,
                greeting=sample("Generate a greeting", max_tokens=50),
                client_roots=ListRootsRequest(),
            ),
            lambda answers: "; ".join(map(said, answers.values())),
            state="three",
        ),
    ),
    (tool(f"{_HELLO}multi_round", "Asks twice"), multi_round),
    (tool(f"{_HELLO}capabilities", "Asks what you can answer"), capabilities),
    (
        tool("confirm_delete", "Asks before it acts", required=("filename",), filename=_STRING),
        asking(_deletion, lambda answers: f"Deletion: {field(answers['confirm'], 'confirm')}"),
    ),
    (
        tool("multi_input", "Asks two people at once"),
        asking(
            always(first=_NAME, second=_NAME),
            lambda answers: " and ".join(field(each, "name") for each in answers.values()),
        ),
    ),
    (
        tool("test_tool_with_task", "Asks for a name, then takes its time"),
        asking(
            always(user_name=_NAME),
            lambda answers: f"Hello, {field(answers['user_name'], 'name')}!",
            seconds=1.2,
        ),
    ),
]
