"""Every check of the project. ``nox`` runs those of ``nox.options.sessions``; ``nox -s tests`` one of them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import nox
from nox.command import CommandFailed

nox.needs_version = ">=2025.5.1"
nox.options.default_venv_backend = "uv|venv"
nox.options.error_on_missing_interpreters = False  # a Python that is not installed is skipped
nox.options.sessions = [
    "lint",
    "typing",
    "docs",
    "tests",
    "lowest",
    "httpx2",
    "frames",
    "engines",
    "warehouse",
    "missing",
]

PROJECT = nox.project.load_toml("pyproject.toml")
PYTHONS = nox.project.python_versions(PROJECT)
# The files of this run, once they are built, and where its tests are.
BUILT: list[str] = []
SUITE: list[Path] = []
# It keeps the limits by the real clock, and its server counts by it.
ALONE = "tests/cli/test_demonstration.py"
# What failed in this run, with the reason.
FAILED: list[str] = []


def interpreter(version: str) -> str | None:
    """Where this machine has a Python: on the PATH, among pyenv's, or among those that uv knows."""
    for found in candidates(version):
        # A shim of pyenv exists for versions that are not active, and fails.
        if output_of(found, "-c", "import sys; print(*sys.version_info[:2], sep='.')") == version:
            return found
    return None


def candidates(version: str) -> Iterator[str]:
    name = f"python{version}"
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    if found := shutil.which(name):
        yield found
    yield from map(str, pyenv.glob(f"versions/{version}.*/bin/{name}"))
    if (uv := shutil.which("uv")) and (found := output_of(uv, "python", "find", "--no-project", version)):
        yield found


def output_of(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603


INTERPRETERS = {version: found for version in PYTHONS if (found := interpreter(version))}
# There nox looks for them: first those of the PATH itself.
folders = sorted(
    {str(Path(found).parent) for found in INTERPRETERS.values() if found != shutil.which(Path(found).name)}
)
os.environ["PATH"] = os.pathsep.join([*folders, os.environ["PATH"]])


def group(name: str) -> tuple[str, ...]:
    return nox.project.dependency_groups(PROJECT, name)


def built(session: nox.Session) -> tuple[str, str]:
    """The source distribution and the wheel that is built from it, once for all sessions of a run."""
    if not BUILT:
        folder = Path(session.create_tmp()) / "dist"
        shutil.rmtree(folder, ignore_errors=True)
        session.install("build")
        session.run("python", "-m", "build", "--outdir", str(folder), silent=True)
        BUILT.extend(str(path.resolve()) for pattern in ("*.tar.gz", "*.whl") for path in folder.glob(pattern))
    sdist, wheel = BUILT
    return sdist, wheel


def suite(session: nox.Session) -> Path:
    """The suite of the source distribution, without its package, so that only an installed one can be imported.

    It is the same for all sessions of a run: each Python compiles it once.
    """
    if not SUITE:
        sdist, _ = built(session)
        place = Path(session.cache_dir).resolve() / "suite"
        shutil.rmtree(place, ignore_errors=True)
        shutil.unpack_archive(sdist, place)
        (unpacked,) = place.iterdir()
        shutil.rmtree(unpacked / "chartmogul_async")
        SUITE.append(unpacked)
    return SUITE[0]


def run_tests(session: nox.Session, *options: str) -> None:
    """Run tests of the suite on all cores, or as the options say."""
    # Otherwise each worker, and each process that a test starts, would compile all that it imports.
    session.env["PYTHONDONTWRITEBYTECODE"] = ""
    # Tests over sockets wait for half of their time.
    session.env["PYTEST_XDIST_AUTO_NUM_WORKERS"] = str(2 * (os.cpu_count() or 1))
    own = Path(session.create_tmp()).resolve()
    report = own / "report.xml"
    report.unlink(missing_ok=True)
    kept = (f"--junit-xml={report}", "-o", f"cache_dir={own / 'cache'}")
    command = ("python", "-m", "pytest", *kept, "-n", "auto", *options, *session.posargs)
    with session.chdir(suite(session)):
        try:
            session.run(*command)
        except CommandFailed:
            failures = [f"{session.name}: {failure}" for failure in failures_in(report)]
            FAILED.extend(failures)
            if not failures or not all(map(was_interrupted, failures)):
                raise
            # A machine that stands still for two minutes ends tests that have nothing to do with it.
            session.warn("Tests that were interrupted are run again, one after another; see the last session.")
            session.run(*command, "-n", "0", "--last-failed", *(["--cov-append"] if "--cov" in options else []))


def run_suite(session: nox.Session, *options: str) -> None:
    """Run the whole suite, or the tests that were asked for; last and alone, what needs the machine for itself."""
    if session.posargs:
        run_tests(session, *options)
    else:
        run_tests(session, f"--ignore={ALONE}", *options)
        run_tests(session, ALONE, "-n", "0")


def failures_in(report: Path) -> Iterator[str]:
    cases = ET.parse(report).iter("testcase") if report.exists() else ()  # noqa: S314 - pytest wrote it
    for case in cases:
        for failure in (*case.iter("failure"), *case.iter("error")):
            yield f"{case.get('classname')}::{case.get('name')}\n{(failure.text or '')[-2000:]}"


def was_interrupted(failure: str) -> bool:
    """Whether a test was ended by the clock or with its worker, which says nothing about its assertions."""
    return "from pytest-timeout" in failure or "crashed while running" in failure


@nox.session
def lint(session: nox.Session) -> None:
    """Format and style; what is published is complete and well-formed."""
    session.install(*group("lint"))
    session.run("ruff", "format", "--check", "--diff", ".")
    session.run("ruff", "check", ".")
    session.run("validate-pyproject", "pyproject.toml")
    if Path(".github").exists():
        workflows = map(str, Path(".github/workflows").iterdir())
        session.run("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *workflows)
        session.run("check-jsonschema", "--builtin-schema", "vendor.dependabot", ".github/dependabot.yml")
        session.run("zizmor", "--offline", "--min-severity", "medium", "--quiet", ".github")
    sdist, wheel = built(session)
    session.run("twine", "check", "--strict", sdist, wheel)
    session.run("check-wheel-contents", wheel)
    # Nothing is published, so the project has no address of any kind.
    session.run("pyroma", "--min", "10", "--skip-tests", "Url,AuthorEmail", sdist)
    if Path(".git").exists():
        session.run("check-sdist")


@nox.session
def typing(session: nox.Session) -> None:
    """mypy (strict) and pyright on package and tests; four checkers on a user's program; no public type is unknown.

    mypy also checks the code of the README and of docs/.
    """
    extras = "[arrow,cli,dlt,fast,otel,parquet,redis,taskiq]"
    session.install("-e", f".{extras}", *group("typing"), *group("bench"), *group("warehouse"))
    session.run("mypy")
    session.run("pyright")
    session.run("python", "-m", "tests.typing")
    session.run("pyright", "--verifytypes", "chartmogul_async", "--ignoreexternal")
    session.run("python", "-m", "pytest", "tests/test_readme.py", "-k", "mypy")


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """The suite, against the built wheel, on every Python; on the oldest with branch coverage: 100 %.

    Engines have a session of their own, since their processes take long to start.
    """
    session.install(f"{built(session)[1]}[arrow,cli,fast,otel,parquet,redis,taskiq]", *group("test"))
    # Some lines run on Linux alone, and so on no other system all of them.
    is_whole = session.python == PYTHONS[0] and not session.posargs and sys.platform == "linux"
    coverage = ["--cov", "--cov-report=term-missing:skip-covered"] if is_whole else []
    run_suite(session, "--ignore=tests/engines", *coverage)


@nox.session(python=PYTHONS[0])
def lowest(session: nox.Session) -> None:
    """The suite, with the lowest version of everything that the package asks for, directly or not."""
    session.install("uv")
    lowest_versions = Path(session.create_tmp()) / "lowest.txt"
    lowest_versions.write_text("\n".join(resolve_lowest(session)), encoding="utf-8")
    session.install(
        f"{built(session)[1]}[arrow,cli,fast,otel,parquet,redis]", *group("test"), "-c", str(lowest_versions)
    )
    session.log(lowest_versions.read_text(encoding="utf-8"))
    run_suite(session)


def resolve_lowest(session: nox.Session) -> list[str]:
    """The lowest version of everything that the package needs, directly or not, which today's test tools accept."""

    def resolve(*options: str) -> dict[str, str]:
        extras = (
            *(f"--extra={name}" for name in ("arrow", "cli", "fast", "otel", "parquet", "redis")),
            "--no-annotate",
            "--no-header",
        )
        pins = session.run("uv", "pip", "compile", "-q", "pyproject.toml", *extras, *options, silent=True)
        return dict(line.split("==") for line in str(pins).split())

    own = resolve() | resolve("--resolution", "lowest")
    # The SDK of OpenTelemetry has exactly the version of its API.
    today = resolve("--group", "test").items()
    tools = {name: version for name, version in today if name not in own and not name.startswith("opentelemetry-")}
    constraints = Path(session.create_tmp()) / "tools.txt"
    constraints.write_text("\n".join(f"{name}=={version}" for name, version in tools.items()), encoding="utf-8")
    lowest_of_all = resolve("--group", "test", "--resolution", "lowest", "-c", str(constraints))
    return [f"{name}=={version}" for name, version in lowest_of_all.items() if name in own]


@nox.session(python=PYTHONS[0])
def httpx2(session: nox.Session) -> None:
    """The whole suite, without the extra `fast`, and with httpx aliased to its maintained fork before pytest loads."""
    session.install(f"{built(session)[1]}[arrow,cli,otel,parquet,redis]", *group("test"), "httpx2")
    place = Path(session.create_tmp()) / "alias"
    place.mkdir(exist_ok=True)
    plugin = "import httpx2\n\nhttpx2.alias_httpx()\n"
    (place / "alias_httpx2.py").write_text(plugin, encoding="utf-8")
    session.env["PYTHONPATH"] = str(place.resolve())
    run_suite(session, "-p", "alias_httpx2")


@nox.session(python=PYTHONS[0])
def engines(session: nox.Session) -> None:
    """The recipes of docs/workers.md, with worker processes of the real task queues, in two rounds of packages."""
    session.install(f"{built(session)[1]}[cli,fast,redis,taskiq]", *group("engines"))
    run_tests(session, "tests/engines", "-k", "taskiq or dask")
    session.install(*group("queues"))
    run_tests(session, "tests/engines", "-k", "arq or saq")


@nox.session(python=PYTHONS[0])
def frames(session: nox.Session) -> None:
    """The tests with polars, pyarrow, pandas and DuckDB, which are too large for every session: 400 MB."""
    session.install(f"{built(session)[1]}[cli,parquet]", *group("frames"))
    run_tests(session, "tests/test_arrow.py", "tests/test_files.py", "tests/test_tutorial.py")


@nox.session(python=PYTHONS[0])
def warehouse(session: nox.Session) -> None:
    """The dlt source and `chartmogul export` into DuckDB and Parquet files, with 100 % of their branches covered."""
    session.install(f"{built(session)[1]}[arrow,cli,dlt]", *group("warehouse"))
    session.env.update(
        COVERED="chartmogul_async.integrations.dlt",
        ALSO_COVERED="chartmogul_async.cli.warehouse",
        NOT_COVERED="nothing",
    )
    run_tests(session, "tests/warehouse", *([] if session.posargs else ["--cov", "--cov-report=term-missing"]))


@nox.session(venv_backend="none")
def missing(session: nox.Session) -> None:
    """Say once more, after all other sessions, which tests failed, and in the last line on which Python none ran."""
    for failure in FAILED:
        session.log(failure)
    for failure in FAILED:
        # A reader of the end only sees the names of all.
        session.log(f"failed: {failure.partition(chr(10))[0]}")
    for version, found in INTERPRETERS.items():
        session.log(f"Python {version}: {found}")
    if left_out := [version for version in PYTHONS if version not in INTERPRETERS]:
        session.skip(f"NOT TESTED on Python {', '.join(left_out)}: this machine has none")


@nox.session(python=PYTHONS[-1])
def prereleases(session: nox.Session) -> None:
    """The suite, with pre-releases of everything."""
    session.install("--pre", f"{built(session)[1]}[arrow,cli,fast,otel,parquet,redis,taskiq]", *group("test"))
    run_suite(session, "--ignore=tests/engines")


@nox.session(python=PYTHONS[0])
def bench(session: nox.Session) -> None:
    """The benchmarks: ratios, measured side by side."""
    session.install("-e", ".[cli,fast,otel,redis,taskiq]", *group("bench"))
    session.run("python", "-m", "benchmarks", *session.posargs)


@nox.session(python=PYTHONS[0])
def docs(session: nox.Session) -> None:
    """The pages as a site, in site/: every warning is an error, and every name leads somewhere."""
    session.install("-e", ".[cli,dlt,fast,otel,redis,taskiq]", *group("docs"))
    session.run("sphinx-build", "-q", "-W", "--keep-going", "-b", "html", "docs", "site", *session.posargs)


@nox.session(python=PYTHONS[0])
def soak(session: nox.Session) -> None:
    """Half an hour of mixed load, faults and cancellations: memory, sockets and tasks stay flat."""
    session.install("-e", ".[cli,fast,otel,redis]", *group("test"))
    session.run("python", "-m", "tests.soak", *session.posargs)


@nox.session(python=PYTHONS[0])
def browser(session: nox.Session) -> None:
    """The dashboards of docs/examples in a headless Chromium (Debian's package, or another one by ``CHROMIUM``)."""
    if not (os.environ.get("CHROMIUM") or shutil.which("chromium")):
        session.skip("NOT TESTED in a browser: this machine has no Chromium (apt install chromium)")
    session.install("-e", ".[cli,fast]", *group("browser"))
    session.run("python", "-m", "pytest", "tests/web/test_browser.py", *session.posargs)


@nox.session(python=PYTHONS[0])
def mutation(session: nox.Session) -> None:
    """Small changes of the code: a test fails for each one, or it is listed with an argument."""
    session.install("-e", ".[arrow,cli,fast,otel,parquet,redis,taskiq]", *group("mutation"))
    session.run("python", "-m", "tests.mutation", *session.posargs)


@nox.session(python=PYTHONS[0])
def fuzz(session: nox.Session) -> None:
    """Ten minutes of a coverage-guided fuzzer: any bytes give records or a DecodeError."""
    session.install("-e", ".[cli,fast,otel,redis]", *group("fuzz"))
    session.run("python", "-m", "tests.fuzz", *session.posargs)
