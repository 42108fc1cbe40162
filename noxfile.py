"""Every check of the project. ``nox`` runs all but ``bench``, ``soak`` and ``fuzz``; ``nox -s tests`` one of them."""

from __future__ import annotations

import re
import shutil
import tomllib
from pathlib import Path

import nox

nox.needs_version = ">=2025.5.1"
nox.options.default_venv_backend = "venv"
nox.options.error_on_missing_interpreters = False  # a Python that is not installed is skipped
nox.options.sessions = ["lint", "typing", "tests", "lowest", "httpx2", "coverage"]

PROJECT = nox.project.load_toml("pyproject.toml")
PYTHONS = nox.project.python_versions(PROJECT)


def group(name: str) -> tuple[str, ...]:
    return nox.project.dependency_groups(PROJECT, name)


def built_wheel(session: nox.Session) -> str:
    """Build the wheel, so that what is tested is what is installed, and not the checkout."""
    folder = Path(session.create_tmp()) / "dist"
    shutil.rmtree(folder, ignore_errors=True)
    session.install("build")
    session.run("python", "-m", "build", "--outdir", str(folder), silent=True)
    (wheel,) = folder.glob("*.whl")
    return str(wheel)


def run_tests(session: nox.Session, *options: str) -> None:
    """Run the suite in a folder without the package's source, so that only an installed one can be imported."""
    place = Path(session.create_tmp()) / "suite"
    shutil.rmtree(place, ignore_errors=True)
    for name in ("tests", "benchmarks", "docs"):
        shutil.copytree(name, place / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "noxfile.py", "CHANGELOG.md", "CONTRIBUTING.md"):
        shutil.copy(name, place)
    with session.chdir(place):
        session.run("python", "-m", "pytest", *options, *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Format and style."""
    session.install(*group("lint"))
    session.run("ruff", "format", "--check", "--diff", ".")
    session.run("ruff", "check", ".")


@nox.session
def typing(session: nox.Session) -> None:
    """mypy (strict) and pyright, on package and tests."""
    session.install("-e", ".[cli,fast]", *group("typing"), *group("bench"))
    session.run("mypy")
    session.run("pyright")


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """The suite, against the built wheel, on every Python of the classifiers."""
    session.install(f"{built_wheel(session)}[cli,fast]", *group("test"))
    run_tests(session)


@nox.session(python=PYTHONS[0])
def lowest(session: nox.Session) -> None:
    """The suite, with the lowest version of everything that the package asks for."""
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = [*project["dependencies"], *(item for extra in project["optional-dependencies"].values() for item in extra)]
    pins = [re.sub(r">=([^,]+).*", r"==\1", item) for item in asked if ">=" in item]
    session.install(f"{built_wheel(session)}[cli]", *pins, *group("test"))
    run_tests(session)


@nox.session(python=PYTHONS[0])
def httpx2(session: nox.Session) -> None:
    """The whole suite, without the extra `fast`, and with httpx aliased to its maintained fork before pytest loads."""
    session.install(f"{built_wheel(session)}[cli]", *group("test"), "httpx2")
    place = Path(session.create_tmp()) / "alias"
    place.mkdir(exist_ok=True)
    plugin = "import httpx2\n\nhttpx2.alias_httpx()\n"
    (place / "alias_httpx2.py").write_text(plugin, encoding="utf-8")
    session.env["PYTHONPATH"] = str(place.resolve())
    run_tests(session, "-p", "alias_httpx2")


@nox.session(python=PYTHONS[0])
def coverage(session: nox.Session) -> None:
    """Branch coverage of the package: 100 %, what runs in subprocesses included."""
    session.install("-e", ".[cli,fast]", *group("coverage"))
    session.run("coverage", "erase")
    session.run("coverage", "run", "-m", "pytest", *session.posargs)
    session.run("coverage", "report")


@nox.session(python=PYTHONS[0])
def bench(session: nox.Session) -> None:
    """The benchmarks: ratios, measured side by side."""
    session.install("-e", ".[cli,fast]", *group("bench"))
    session.run("python", "-m", "benchmarks", *session.posargs)


@nox.session(python=PYTHONS[0])
def soak(session: nox.Session) -> None:
    """Half an hour of mixed load, faults and cancellations: memory, sockets and tasks stay flat."""
    session.install("-e", ".[cli,fast]", *group("test"))
    session.run("python", "-m", "tests.soak", *session.posargs)


@nox.session(python=PYTHONS[0])
def fuzz(session: nox.Session) -> None:
    """Ten minutes of a coverage-guided fuzzer: any bytes give records or a DecodeError."""
    session.install("-e", ".[cli,fast]", *group("fuzz"))
    session.run("python", "-m", "tests.fuzz", *session.posargs)
