"""Run one side and print its reading as a line of JSON: ``python -m benchmarks.sides MODULE.FUNCTION ARGUMENTS``."""

from __future__ import annotations

import asyncio
import json
import sys
from importlib import import_module
from inspect import iscoroutine

side, arguments = sys.argv[1:]
module, function = side.split(".")
reading = getattr(import_module(f"benchmarks.sides.{module}"), function)(**json.loads(arguments))
print(json.dumps(asyncio.run(reading) if iscoroutine(reading) else reading))
