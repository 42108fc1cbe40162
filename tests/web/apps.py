"""The same pages in three frameworks, behind the middleware: for tests of how these and it get along."""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
from attrs import define, field

from chartmogul_async import AsyncClient
from chartmogul_async.errors import ArgumentError, ChartMogulError
from chartmogul_async.integrations.asgi import ChartMogulMiddleware, error_response

START, END = "2024-01-01", "2024-12-31"


@define
class Pages:
    """What the pages of each framework do.

    Attributes:
        client: Their client.
        streaming: Streams in progress.
        done: Work that was done after a response.
    """

    client: AsyncClient
    streaming: int = 0
    done: list[str] = field(factory=list)

    async def mrr(self, geo: str) -> dict[str, int]:
        return {"months": len(await self.client.metrics.mrr(START, END, geo=geo or None))}

    async def parts(self) -> AsyncIterator[bytes]:
        self.streaming += 1
        try:
            while True:
                yield b"part "
                await anyio.sleep(1)
        finally:
            self.streaming -= 1

    async def work(self) -> None:
        await anyio.sleep(60)
        self.done.append("work")


def starlette_app(pages: Pages, *around: Any, inside: tuple[Any, ...] = ()) -> Any:
    from starlette.applications import Starlette
    from starlette.background import BackgroundTask
    from starlette.middleware import Middleware
    from starlette.requests import Request
    from starlette.responses import JSONResponse, StreamingResponse
    from starlette.routing import Route

    async def mrr(request: Request) -> JSONResponse:
        return JSONResponse(await pages.mrr(request.query_params.get("geo", "")))

    async def posted(request: Request) -> JSONResponse:
        return JSONResponse(await pages.mrr((await request.json())["geo"]))

    async def upload(request: Request) -> JSONResponse:
        await pages.mrr("")
        return JSONResponse(sum([len(part) async for part in request.stream()]))

    async def stream(request: Request) -> StreamingResponse:
        return StreamingResponse(pages.parts())

    async def later(request: Request) -> JSONResponse:
        return JSONResponse({}, background=BackgroundTask(pages.work))

    routes = [
        Route("/mrr", mrr),
        Route("/posted", posted, methods=["POST"]),
        Route("/upload", upload, methods=["POST"]),
        Route("/stream", stream),
        Route("/later", later),
    ]
    own = Middleware(ChartMogulMiddleware, deadline=20)
    return Starlette(routes=routes, middleware=[*map(Middleware, around), own, *map(Middleware, inside)])


def fastapi_app(pages: Pages, *around: Any, inside: tuple[Any, ...] = ()) -> Any:
    from fastapi import BackgroundTasks, Body, FastAPI, Request
    from fastapi.responses import StreamingResponse

    app = FastAPI()
    for middleware in reversed(inside):
        app.add_middleware(middleware)
    app.add_middleware(ChartMogulMiddleware, deadline=20)
    for middleware in reversed(around):
        app.add_middleware(middleware)

    @app.get("/mrr")
    async def mrr(geo: str = "") -> Any:
        return await pages.mrr(geo)

    @app.post("/posted")
    async def posted(geo: str = Body(embed=True)) -> Any:
        return await pages.mrr(geo)

    async def upload(request: Request) -> Any:
        await pages.mrr("")
        return sum([len(part) async for part in request.stream()])

    async def later(tasks: BackgroundTasks) -> Any:
        tasks.add_task(pages.work)
        return {}

    # Annotations that are text are looked up in the module, where these names are not.
    upload.__annotations__["request"] = Request
    later.__annotations__["tasks"] = BackgroundTasks
    app.post("/upload")(upload)
    app.get("/later")(later)

    @app.get("/stream")
    async def stream() -> Any:
        return StreamingResponse(pages.parts())

    return app


def litestar_app(pages: Pages, *around: Any, inside: tuple[Any, ...] = ()) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from litestar import Litestar, Request, Response, get, post
        from litestar.background_tasks import BackgroundTask
        from litestar.middleware import DefineMiddleware
        from litestar.response import Stream

    async def mrr(request: Any) -> Any:
        return await pages.mrr(request.query_params.get("geo", ""))

    async def posted(request: Any) -> Any:
        return await pages.mrr((await request.json())["geo"])

    async def upload(request: Any) -> Any:
        await pages.mrr("")
        return sum([len(part) async for part in request.stream()])

    async def stream() -> Any:
        return Stream(pages.parts())

    async def later() -> Any:
        return Response({}, background=BackgroundTask(pages.work))

    for page in (mrr, posted, upload):
        page.__annotations__["request"] = Request
    stream.__annotations__["return"] = Stream
    later.__annotations__["return"] = Response

    def mapped(_: Any, error: ChartMogulError | ArgumentError) -> Any:
        response = error_response(error)
        return Response(dict(response.content), status_code=response.status, headers=dict(response.headers))

    return Litestar(
        route_handlers=[
            get("/mrr")(mrr),
            post("/posted", status_code=200)(posted),
            post("/upload", status_code=200)(upload),
            get("/stream")(stream),
            get("/later")(later),
        ],
        middleware=[*around, DefineMiddleware(ChartMogulMiddleware, deadline=20), *inside],
        exception_handlers={ChartMogulError: mapped, ArgumentError: mapped},
        openapi_config=None,
        # By default it configures the logging of the whole process.
        logging_config=None,
    )


APPS: dict[str, Callable[..., Any]] = {
    "fastapi": fastapi_app,
    "starlette": starlette_app,
    "litestar": litestar_app,
}
