"""How long an import takes above the bare interpreter, beside the runtime dependencies alone."""

from __future__ import annotations

import re
from importlib.metadata import requires

from benchmarks.figures import ratio, spread
from benchmarks.harness import Comparison, Side
from benchmarks.questions.question import Goal, Question, Results, Table

PACKAGE = "`import chartmogul_async`"
CLIENT = "`from chartmogul_async import AsyncClient`"
DEPENDENCIES = "its dependencies"
OFFICIAL = "the official client"
OURS = (PACKAGE, CLIENT)
GOAL = 1.2
_INTERPRETERS = 10
NAME = "import"


def comparisons() -> list[Comparison]:
    statements = {
        PACKAGE: PACKAGE.strip("`"),
        CLIENT: CLIENT.strip("`"),
        DEPENDENCIES: f"import {', '.join(_dependencies())}",
        OFFICIAL: "import chartmogul",
    }
    sides = [
        Side(name, "importing.median", {"statement": statement, "interpreters": _INTERPRETERS})
        for name, statement in statements.items()
    ]
    return [Comparison(NAME, sides)]


def _dependencies() -> list[str]:
    """What the package asks for without any extra; each is imported under the name it is installed by."""
    asked = [one for one in requires("chartmogul-async") or () if "extra ==" not in one]
    return [matched[0] for one in asked if (matched := re.match(r"\w+", one))]


def goals(results: Results) -> list[Goal]:
    result = results[NAME]
    return [Goal(f"{side}, over its dependencies", result.ratio(side, DEPENDENCIES, "cpu"), GOAL) for side in OURS]


def table(results: Results) -> Table:
    result = results[NAME]
    rows = [
        [
            side,
            spread(result.values(side, "cpu")),
            f"**{ratio(result.ratio(side, DEPENDENCIES, 'cpu'))}**",
            spread(result.values(side)),
        ]
        for side in result.readings
    ]
    return Table(["import", "CPU", "x dependencies", "wall"], rows)


QUESTION = Question("import", "time to import, above the bare interpreter", comparisons, goals, table)
