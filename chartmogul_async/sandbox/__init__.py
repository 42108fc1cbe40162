"""A local ChartMogul: a simulated company behind the real API's shapes and limits, with faults on demand."""

from chartmogul_async.sandbox.company import Company
from chartmogul_async.sandbox.faults import Fault, Faults
from chartmogul_async.sandbox.limits import Limits
from chartmogul_async.sandbox.process import serve_in_subprocess
from chartmogul_async.sandbox.records import PricingPlan, Subscriber
from chartmogul_async.sandbox.sandbox import Counters, Sandbox

__all__ = [
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
