"""A dashboard with FastAPI: ``uvicorn fastapi_app:app --workers 4``."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from dashboard import PAGE, figures, new_client
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse

from chartmogul_async import AsyncClient
from chartmogul_async.integrations.asgi import ChartMogulMiddleware


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, AsyncClient]]:
    async with new_client() as client:
        yield {"chartmogul": client}


app = FastAPI(lifespan=lifespan)
app.add_middleware(ChartMogulMiddleware, deadline=10)


@app.get("/", response_class=HTMLResponse)
async def page() -> str:
    return PAGE


@app.get("/figures")
async def data(request: Request, geo: str = "") -> dict[str, Any]:
    return await figures(request.state.chartmogul, geo)
