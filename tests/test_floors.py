"""Imports and calls point down only: the floors of CONTRIBUTING.md.

Imports are read from the source of every module, those inside functions and under ``TYPE_CHECKING`` included. Calls are
recorded while one metric is fetched.
"""

from __future__ import annotations

import ast
import asyncio
import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from itertools import groupby
from pathlib import Path
from types import FrameType

import httpx
import pytest

import chartmogul_async

PACKAGE = "chartmogul_async"
ROOT = Path(chartmogul_async.__file__).parent

# A name with a star stands for the package and everything in it; any other name for that one module.
FLOORS = {
    f"{PACKAGE}._version": 0,
    f"{PACKAGE}.errors": 0,
    f"{PACKAGE}.events": 0,
    f"{PACKAGE}.checks": 0,
    f"{PACKAGE}.intervals": 0,
    f"{PACKAGE}.cfl": 0,
    f"{PACKAGE}.countries": 0,
    f"{PACKAGE}.secret": 0,
    f"{PACKAGE}.periods": 0,
    f"{PACKAGE}.money": 0,
    f"{PACKAGE}.analysis.*": 0,
    f"{PACKAGE}.drawing.*": 0,
    # The __init__ of these three holds a docstring only.
    f"{PACKAGE}.metrics": 0,
    f"{PACKAGE}.resources": 0,
    f"{PACKAGE}.transport": 0,
    f"{PACKAGE}.structuring.*": 1,
    f"{PACKAGE}.metrics.arrow": 1,
    f"{PACKAGE}.metrics.html": 1,
    f"{PACKAGE}.metrics.query": 1,
    f"{PACKAGE}.metrics.records": 1,
    f"{PACKAGE}.metrics.series": 1,
    f"{PACKAGE}.metrics.outcome": 1,
    f"{PACKAGE}.metrics.joining": 1,
    f"{PACKAGE}.metrics.adding": 1,
    f"{PACKAGE}.metrics.stacked": 1,
    f"{PACKAGE}.metrics.breakdown": 1,
    f"{PACKAGE}.transport.budget": 1,
    f"{PACKAGE}.transport.window": 1,
    f"{PACKAGE}.transport.limits": 1,
    f"{PACKAGE}.transport.pace": 1,
    f"{PACKAGE}.transport.snapshots": 1,
    f"{PACKAGE}.transport.store": 1,
    f"{PACKAGE}.transport.turns": 1,
    f"{PACKAGE}.transport.bodies": 2,
    f"{PACKAGE}.transport.cap": 2,
    f"{PACKAGE}.transport.connections": 2,
    f"{PACKAGE}.transport.direct": 2,
    f"{PACKAGE}.transport.failures": 2,
    f"{PACKAGE}.transport.file_store": 2,
    f"{PACKAGE}.transport.http1": 2,
    f"{PACKAGE}.transport.event_loop": 2,
    f"{PACKAGE}.transport.lookup": 1,
    f"{PACKAGE}.transport.network": 2,
    f"{PACKAGE}.transport.options": 2,
    f"{PACKAGE}.transport.outage": 2,
    f"{PACKAGE}.transport.permits": 2,
    f"{PACKAGE}.transport.queue": 2,
    f"{PACKAGE}.transport.readers": 2,
    f"{PACKAGE}.transport.redis_connection": 2,
    f"{PACKAGE}.transport.redis_store": 2,
    f"{PACKAGE}.transport.refusals": 2,
    f"{PACKAGE}.transport.retry": 2,
    f"{PACKAGE}.transport.retry_after": 2,
    f"{PACKAGE}.transport.reuse": 2,
    f"{PACKAGE}.transport.shared": 2,
    f"{PACKAGE}.transport.throttle": 2,
    f"{PACKAGE}.transport.unsolicited": 2,
    f"{PACKAGE}.transport.updates": 2,
    f"{PACKAGE}.transport.exchanges": 3,
    f"{PACKAGE}.transport.session": 3,
    f"{PACKAGE}.metrics.breakdown_calls": 4,
    f"{PACKAGE}.metrics.pending": 4,
    f"{PACKAGE}.metrics.resource": 4,
    f"{PACKAGE}.metrics.segments": 4,
    f"{PACKAGE}.metrics.slices": 4,
    f"{PACKAGE}.metrics.stream": 4,
    f"{PACKAGE}.metrics.tasks": 4,
    f"{PACKAGE}.metrics.weeks": 4,
    f"{PACKAGE}.resources.account": 4,
    f"{PACKAGE}.resources.customers": 4,
    f"{PACKAGE}.resources.pages": 4,
    f"{PACKAGE}.resources.plan_groups": 4,
    f"{PACKAGE}.resources.plans": 4,
    f"{PACKAGE}.arguments": 5,
    f"{PACKAGE}.client": 5,
    f"{PACKAGE}.clients": 5,
    PACKAGE: 6,
    f"{PACKAGE}.blocking.*": 7,
    f"{PACKAGE}.files.*": 7,
    f"{PACKAGE}.integrations.*": 7,
    f"{PACKAGE}.sandbox.*": 7,
    f"{PACKAGE}.report.*": 8,
    f"{PACKAGE}.cli.*": 8,
    f"{PACKAGE}.__main__": 8,
}
# The house ends here; what stands above are its users.
TOP = 6

# Who may import what from outside.
EVERYWHERE = {"attrs", "attr"}
USERS = {f"{PACKAGE}.blocking.*", f"{PACKAGE}.sandbox.*", f"{PACKAGE}.cli.*"}
OUTSIDE = {
    "anyio": {
        f"{PACKAGE}.integrations.asgi",
        f"{PACKAGE}.transport.*",
        f"{PACKAGE}.metrics.slices",
        f"{PACKAGE}.metrics.stream",
        f"{PACKAGE}.metrics.tasks",
        f"{PACKAGE}.metrics.weeks",
    }
    | USERS,
    "httpx": {f"{PACKAGE}.transport.*", f"{PACKAGE}.client", f"{PACKAGE}.clients", f"{PACKAGE}.arguments"} | USERS,
    "httpcore": {f"{PACKAGE}.transport.network", f"{PACKAGE}.transport.direct"},
    "aiohappyeyeballs": {f"{PACKAGE}.transport.network"},
    "typing_extensions": {f"{PACKAGE}.metrics.records"},
    "tenacity": {f"{PACKAGE}.transport.retry"},
    "cattrs": {f"{PACKAGE}.structuring.converter"},
    "orjson": {f"{PACKAGE}.structuring.converter"},
    # Only where pydantic asks a class for its schema.
    "pydantic_core": {f"{PACKAGE}.structuring.record"},
    "arro3": {f"{PACKAGE}.metrics.arrow", f"{PACKAGE}.files.columns"},
    "httptools": {f"{PACKAGE}.transport.http1"},
    "hiredis": {f"{PACKAGE}.transport.redis_connection"},
    "dlt": {f"{PACKAGE}.integrations.dlt", f"{PACKAGE}.cli.warehouse"},
    "duckdb": {f"{PACKAGE}.cli.warehouse"},
    "opentelemetry": {f"{PACKAGE}.integrations.otel"},
    "starlette": USERS,
    "uvicorn": USERS,
    "h11": USERS,
    "taskiq": {f"{PACKAGE}.integrations.taskiq"},
    "click": {f"{PACKAGE}.cli.*"},
    "rich": {f"{PACKAGE}.cli.*"},
}
WITHOUT_IO = {"asyncio", "concurrent", "http.client", "multiprocessing", "selectors", "socket", "ssl", "subprocess"}
WITHOUT_IO |= {"threading", "urllib.request"}


def matches(module: str, pattern: str) -> bool:
    stem = pattern.removesuffix(".*")
    return module == stem or (pattern.endswith(".*") and module.startswith(stem + "."))


def floor_of(module: str) -> int:
    floors = [floor for pattern, floor in FLOORS.items() if matches(module, pattern)]
    assert len(floors) == 1, f"{module} has no floor of its own: give it one in FLOORS, as low as it can stand"
    return floors[0]


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {module_of(path): path for path in sorted(ROOT.rglob("*.py"))}


def imports_of(source: str, module: str, is_package: bool, known: set[str]) -> Iterator[str]:
    """Every module that a source imports, wherever the import stands."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = module.split(".")[: len(module.split(".")) - node.level + is_package] if node.level else []
            origin = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                inner = f"{origin}.{alias.name}"
                yield inner if inner in known else origin


def imports_in(module: str) -> set[str]:
    path = SOURCES[module]
    return set(imports_of(path.read_text("utf-8"), module, path.name == "__init__.py", set(SOURCES)))


def is_inside(module: str) -> bool:
    return module.partition(".")[0] == PACKAGE


IMPORTS = {module: imports_in(module) for module in SOURCES}
PAIRS = [(module, name) for module, names in IMPORTS.items() for name in sorted(names)]
INSIDE = [(module, name) for module, name in PAIRS if is_inside(name)]
OUTWARD = [
    (module, name)
    for module, name in PAIRS
    if not is_inside(name) and name.partition(".")[0] not in sys.stdlib_module_names | EVERYWHERE
]


def test_every_kind_of_import_is_found() -> None:
    source = """
import a.b, c as d
from typing import TYPE_CHECKING
from pkg import errors, AsyncClient
if TYPE_CHECKING:
    from pkg.client import AsyncClient
def f():
    try:
        from . import cfl
        from ..upper import thing
        from .deep.er import x as y
    except ImportError:
        import z
"""
    known = {"pkg", "pkg.errors", "pkg.client", "pkg.sub", "pkg.sub.cfl", "pkg.sub.deep.er"}
    found = {
        "a.b",
        "c",
        "typing",
        "pkg.errors",
        "pkg",
        "pkg.client",
        "pkg.sub.cfl",
        "pkg.upper",
        "pkg.sub.deep.er",
        "z",
    }
    assert set(imports_of(source, "pkg.sub.module", is_package=False, known=known)) == found
    assert set(imports_of("from . import cfl", "pkg.sub", is_package=True, known=known)) == {"pkg.sub.cfl"}


def test_all_modules_were_read() -> None:
    assert {PACKAGE, f"{PACKAGE}.client", f"{PACKAGE}.transport", f"{PACKAGE}.metrics.slices"} <= set(SOURCES)
    assert IMPORTS[f"{PACKAGE}.client"] >= {"httpx", f"{PACKAGE}.errors", f"{PACKAGE}.transport.session"}


@pytest.mark.parametrize("module", SOURCES)
def test_every_module_has_a_floor(module: str) -> None:
    assert 0 <= floor_of(module) <= max(FLOORS.values())


@pytest.mark.parametrize("pattern", [name for name in FLOORS if name != f"{PACKAGE}.cli.*"])
def test_every_floor_has_a_module(pattern: str) -> None:
    assert any(matches(module, pattern) for module in SOURCES)


def test_imports_point_down_or_stay_on_the_floor() -> None:
    assert not [f"{one} imports {other}" for one, other in INSIDE if floor_of(other) > floor_of(one)]


def test_nothing_in_the_house_imports_its_users() -> None:
    assert not [f"{one} imports {other}" for one, other in INSIDE if floor_of(one) <= TOP < floor_of(other)]


def test_imports_from_inside_exist() -> None:
    assert not [f"{one} imports {other}" for one, other in INSIDE if other not in SOURCES]


def test_no_imports_go_in_circles() -> None:
    graph: dict[str, set[str]] = {}
    for one, other in INSIDE:
        graph.setdefault(one, set()).add(other)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"imports in a circle: {' <- '.join(error.args[1])}")


def calls_of_one_metric() -> list[tuple[str, str]]:
    """The modules of caller and callee of every call inside the package, in order; resumed coroutines are not calls."""
    modules = {str(path): module for module, path in SOURCES.items()}
    calls: list[tuple[str, str]] = []
    seen: dict[int, FrameType] = {}

    def module_above(frame: FrameType) -> str:
        above = frame.f_back
        while above is not None and above.f_code.co_filename not in modules:
            above = above.f_back
        return modules[above.f_code.co_filename] if above else PACKAGE

    def profile(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code.co_filename in modules and id(frame) not in seen:
            seen[id(frame)] = frame
            calls.append((module_above(frame), modules[frame.f_code.co_filename]))

    async def fetch() -> None:
        body = b'{"entries": [], "summary": {"current": 1, "previous": 1, "percentage-change": 0.0}}'
        respond = httpx.MockTransport(lambda _: httpx.Response(200, content=body))
        async with chartmogul_async.AsyncClient("key", transport=respond) as client:
            await client.metrics.mrr("2025-01-01", "2025-06-30")
            before = sys.getprofile()
            sys.setprofile(profile)
            try:
                await client.metrics.mrr("2025-01-01", "2025-06-30")
            finally:
                sys.setprofile(before)

    asyncio.run(fetch())
    return calls


def test_calls_point_down_or_stay_on_the_floor() -> None:
    calls = calls_of_one_metric()
    assert (f"{PACKAGE}.metrics.slices", f"{PACKAGE}.transport.session") in calls
    assert not [f"{caller} calls {callee}" for caller, callee in calls if floor_of(callee) > min(floor_of(caller), TOP)]


def test_one_metric_visits_few_modules() -> None:
    """In the order of the calls, so that a detour of every request is noticed; the checks of arguments do not count."""
    callees = [
        callee for _, callee in calls_of_one_metric() if callee not in (f"{PACKAGE}.checks", f"{PACKAGE}.periods")
    ]
    visits = [callee for callee, _ in groupby(callees)]
    assert len(visits) <= 18, " -> ".join(visits)


def test_outside_packages_are_imported_only_where_allowed() -> None:
    for module, name in OUTWARD:
        allowed = OUTSIDE.get(name.partition(".")[0], set())
        assert any(matches(module, pattern) for pattern in allowed), f"{module} imports {name}"


def test_the_ground_floor_does_no_io() -> None:
    """It imports the standard library and attrs only."""
    ground = {module for module in SOURCES if floor_of(module) == 0}
    assert not [f"{module} imports {name}" for module, name in OUTWARD if module in ground]
    for module in ground:
        io = {name for name in IMPORTS[module] if any(matches(name, f"{package}.*") for package in WITHOUT_IO)}
        assert not io, f"{module} imports {io}"


def test_the_sandbox_has_a_calendar_of_its_own() -> None:
    """So it stays an independent referee."""
    borrowed = {other for one, other in INSIDE if matches(one, f"{PACKAGE}.sandbox.*")}
    assert any(matches(name, f"{PACKAGE}.sandbox.*") for name in borrowed)
    calendars = (f"{PACKAGE}.metrics.*", f"{PACKAGE}.intervals")
    assert not {name for name in borrowed if any(matches(name, pattern) for pattern in calendars)}


def test_the_public_surface_is_names_and_their_modules() -> None:
    body = ast.parse(SOURCES[PACKAGE].read_text("utf-8")).body
    docstring, *imports, for_type_checkers, names, homes, for_users = body
    assert isinstance(docstring, ast.Expr)
    assert all(isinstance(node, ast.ImportFrom) for node in imports)
    assert isinstance(for_type_checkers, ast.If)
    assert all(isinstance(node, ast.ImportFrom) for node in for_type_checkers.body)
    assert isinstance(names, ast.Assign)
    assert isinstance(homes, ast.Assign)
    assert isinstance(for_users, ast.If)
    assert all(isinstance(node, ast.FunctionDef) for node in for_users.body)


def test_type_checkers_see_the_surface_that_is_loaded() -> None:
    seen = {
        alias.name: getattr(importlib.import_module(node.module), alias.name)
        for node in ast.walk(ast.parse(SOURCES[PACKAGE].read_text("utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module and is_inside(node.module)
        for alias in node.names
    }
    assert seen == {name: getattr(chartmogul_async, name) for name in chartmogul_async.__all__}
    assert dir(chartmogul_async) == chartmogul_async.__all__
    with pytest.raises(AttributeError, match="'chartmogul_async' has no attribute 'Client'"):
        chartmogul_async.Client  # type: ignore[attr-defined]  # noqa: B018  # pyright: ignore[reportAttributeAccessIssue]


def test_a_first_use_loads_only_what_it_needs() -> None:
    code = f"""
import sys
import {PACKAGE}
print(sorted(name for name in sys.modules if name.startswith("{PACKAGE}")), "httpx" in sys.modules)
{PACKAGE}.MetricQuery
print(*(name in sys.modules for name in ["{PACKAGE}.metrics.records", "{PACKAGE}.client", "httpx"]))
{PACKAGE}.AsyncClient
print(*(name in sys.modules for name in ["httpx", "{PACKAGE}.sandbox", "{PACKAGE}.cli"]))
"""
    assert in_a_fresh_interpreter(code).splitlines() == [
        "['chartmogul_async'] False",
        "True False False",
        "True False False",
    ]


def in_a_fresh_interpreter(code: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(ROOT.parent)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_import_loads_no_optional_package() -> None:
    """What the packages it depends on import by themselves does not count."""
    code = f"""
import sys
import anyio, attrs, cattrs, httpx, tenacity
before = set(sys.modules)
from {PACKAGE} import *
optional = {{"click", "rich", "starlette", "uvicorn", "trio", "h11", "hiredis", "httptools", "httpcore", "arro3"}}
print(sorted(name for name in set(sys.modules) - before if name.partition(".")[0] in optional))
"""
    assert in_a_fresh_interpreter(code) == "[]"


def test_the_import_builds_no_tls_context_and_opens_no_socket() -> None:
    code = f"""
import socket, ssl
made = []
class Context(ssl.SSLContext):
    def __new__(cls, *arguments, **more):
        made.append("context")
        return super().__new__(cls, *arguments, **more)
ssl.SSLContext = Context
plain = ssl.create_default_context
ssl.create_default_context = lambda *arguments, **more: made.append("default") or plain(*arguments, **more)
connect = socket.socket.connect
socket.socket.connect = lambda *arguments: made.append("connection") or connect(*arguments)
from {PACKAGE} import *
assert made == [], made
Context(ssl.PROTOCOL_TLS_CLIENT)
print(made)
"""
    # The one that the code makes at its end shows that the trap works.
    assert in_a_fresh_interpreter(code) == "['context']"
