"""A dashboard with Starlette: ``uvicorn starlette_app:app --workers 4``."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from dashboard import PAGE, figures, new_client
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse
from starlette.routing import Route

from chartmogul_async import AsyncClient
from chartmogul_async.integrations.asgi import ChartMogulMiddleware


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[dict[str, AsyncClient]]:
    async with new_client() as client:
        yield {"chartmogul": client}


async def page(request: Request) -> HTMLResponse:
    return HTMLResponse(PAGE)


async def data(request: Request) -> JSONResponse:
    return JSONResponse(await figures(request.state.chartmogul, request.query_params.get("geo", "")))


app = Starlette(
    routes=[Route("/", page), Route("/figures", data)],
    middleware=[Middleware(ChartMogulMiddleware, deadline=10)],
    lifespan=lifespan,
)
