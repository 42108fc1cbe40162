"""The sandbox shares no class name with the rest of the package, so a repr or a traceback is never ambiguous."""

from __future__ import annotations

import ast
from pathlib import Path

import chartmogul_async
from chartmogul_async import sandbox

ROOT = Path(chartmogul_async.__file__).parent
SANDBOX = ROOT / "sandbox"


def class_names(source: str) -> set[str]:
    """The classes of a source, those inside functions and classes included."""
    return {node.name for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ClassDef)}


SOURCES = {path: path.read_text("utf-8") for path in ROOT.rglob("*.py")}


def test_nested_classes_are_found() -> None:
    source = "class A:\n    class B: ...\ndef f():\n    class C: ...\n"
    assert class_names(source) == {"A", "B", "C"}


def test_no_class_name_is_shared() -> None:
    """Private names count without their underscore."""
    names: dict[bool, set[str]] = {True: set(), False: set()}
    for path, source in SOURCES.items():
        names[path.is_relative_to(SANDBOX)] |= {name.lstrip("_") for name in class_names(source)}
    assert {"Sandbox", "Company", "Limits"} <= names[True]
    assert {"AsyncClient", "MetricQuery", "Throttle"} <= names[False]
    assert names[True] & names[False] == set()


def test_public_names() -> None:
    assert sandbox.__all__ == [
        "Company",
        "Counters",
        "Fault",
        "Faults",
        "Limits",
        "PricingPlan",
        "Sandbox",
        "Subscriber",
        "serve_in_subprocess",
    ]
    assert all(hasattr(sandbox, name) for name in sandbox.__all__)
