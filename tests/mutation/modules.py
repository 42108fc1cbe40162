"""Which tests decide about the mutants of which module: those that are about it, so that a run takes minutes.

Modules without code in a function have no mutants.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

TESTS: Mapping[str, Sequence[str]] = {
    "transport/limits": ("limits", "snapshots", "pace"),
    "transport/window": ("window", "limits", "snapshots"),
    "transport/pace": ("pace", "limits", "snapshots"),
    "transport/turns": ("turns",),
    "transport/snapshots": ("snapshots", "limits"),
    "transport/queue": ("queue", "throttle", "stream"),
    "transport/refusals": ("throttle", "shared"),
    "transport/shared": ("shared",),
    "transport/file_store": ("file_store",),
    "transport/redis_connection": ("redis_store",),
    "transport/redis_store": ("redis_store",),
    "transport/permits": ("queue", "throttle", "session", "secrets"),
    "transport/throttle": ("throttle", "queue", "session", "stream"),
    "transport/retry": ("retry", "session", "events", "queue"),
    "transport/retry_after": ("retry_after",),
    "transport/exchanges": ("session", "retry", "client", "errors", "secrets"),
    "transport/session": ("reuse", "options", "session"),
    "transport/reuse": ("reuse", "options"),
    "transport/failures": ("errors", "session", "retry", "secrets"),
    "transport/bodies": ("bodies",),
    "transport/connections": ("connections", "network"),
    "transport/direct": ("direct",),
    "transport/http1": ("http1",),
    "transport/network": ("network",),
    "transport/unsolicited": ("unsolicited",),
    "structuring/bulk": ("bulk",),
    "structuring/converter": ("structuring", "bulk", "density", "documents"),
    "structuring/documents": ("documents",),
    "structuring/record": ("web", "documents"),
    "structuring/density": ("density",),
    "structuring/secrets": ("error_bodies",),
    "structuring/error_bodies": ("error_bodies",),
    "metrics/html": ("display",),
    "metrics/joining": ("joining",),
    "metrics/query": ("query", "errors", "documents"),
    "metrics/outcome": ("stream", "documents", "web"),
    "metrics/series": ("records", "query", "documents", "display"),
    "metrics/resource": ("metrics", "query", "stream"),
    "metrics/slices": ("slices", "weeks", "reuse"),
    "metrics/stream": ("stream",),
    "metrics/tasks": ("tasks", "stream"),
    "metrics/weeks": ("weeks", "slices"),
    "integrations/asgi": ("asgi",),
    "integrations/taskiq": ("taskiq",),
}
