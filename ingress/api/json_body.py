"""Bodies as JSON, read as strictly as everywhere else here.

The standard library's parser takes half of a surrogate pair, which no UTF-8 can write down again:
it could be neither stored nor passed on.
"""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from typing_extensions import override

from common.wire import load_json


class JsonRoute(APIRoute):
    """The class of every route that has such a body."""

    @override
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        async def strict(request: Request) -> Response:
            return await handler(_Strict(request.scope, request.receive))

        return strict


class _Strict(Request):
    @override
    async def json(self) -> Any:
        return load_json(await self.body())
