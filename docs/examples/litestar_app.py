"""A dashboard with Litestar: ``uvicorn litestar_app:app --workers 4``."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from dashboard import PAGE, figures, new_client
from litestar import Litestar, MediaType, Request, Response, get
from litestar.middleware import DefineMiddleware

from chartmogul_async.errors import ArgumentError, ChartMogulError
from chartmogul_async.integrations.asgi import ChartMogulMiddleware, error_response


@asynccontextmanager
async def lifespan(app: Litestar) -> AsyncIterator[None]:
    async with new_client() as client:
        app.state.chartmogul = client
        yield


@get("/", media_type=MediaType.HTML)
async def page() -> str:
    return PAGE


@get("/figures")
async def data(request: Request[Any, Any, Any]) -> dict[str, Any]:
    return await figures(request.app.state.chartmogul, request.query_params.get("geo", ""))


def mapped(request: Request[Any, Any, Any], error: ChartMogulError | ArgumentError) -> Response[dict[str, str]]:
    """Litestar handles errors before a middleware sees them."""
    response = error_response(error)
    return Response(dict(response.content), status_code=response.status, headers=dict(response.headers))


app = Litestar(
    route_handlers=[page, data],
    middleware=[DefineMiddleware(ChartMogulMiddleware, deadline=10)],
    exception_handlers={ChartMogulError: mapped, ArgumentError: mapped},
    lifespan=[lifespan],
)
