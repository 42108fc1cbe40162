"""A local ChartMogul: a made-up company behind the real API's shapes, limits and troubles."""

from chartmogul_async.sandbox.company import Company
from chartmogul_async.sandbox.faults import Fault, Faults
from chartmogul_async.sandbox.limits import Limits
from chartmogul_async.sandbox.process import serve_in_subprocess
from chartmogul_async.sandbox.records import Customer, Plan
from chartmogul_async.sandbox.sandbox import Counters, Sandbox

__all__ = ["Company", "Counters", "Customer", "Fault", "Faults", "Limits", "Plan", "Sandbox", "serve_in_subprocess"]
