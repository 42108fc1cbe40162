"""Which tests decide about the mutants of which module: those that are about it, so that a run takes minutes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

TESTS: Mapping[str, Sequence[str]] = {
    "transport/limits": ("limits", "snapshots", "pace"),
    "transport/window": ("window", "limits", "snapshots"),
    "transport/pace": ("pace", "limits", "snapshots"),
    "transport/snapshots": ("snapshots", "limits"),
    "transport/queue": ("queue", "throttle", "stream"),
    "transport/permits": ("queue", "throttle", "session", "secrets"),
    "transport/throttle": ("throttle", "queue", "session", "stream"),
    "transport/retry": ("retry", "session", "events", "queue"),
    "transport/retry_after": ("retry_after",),
    "transport/session": ("session", "retry", "client", "errors", "secrets"),
    "transport/failures": ("errors", "session", "retry", "secrets"),
    "transport/bodies": ("bodies",),
    "transport/connections": ("connections", "client"),
    "transport/network": ("connections",),
    "transport/unsolicited": ("connections", "bodies"),
    "structuring/bulk": ("bulk", "structuring"),
    "structuring/converter": ("structuring", "structuring_fuzz", "bulk"),
    "structuring/error_bodies": ("error_bodies", "errors", "secrets"),
    "metrics/joining": ("joining",),
    "metrics/query": ("query", "errors"),
    "metrics/records": ("records",),
    "metrics/resource": ("metrics", "query", "stream"),
    "metrics/slices": ("slices", "weeks"),
    "metrics/stream": ("stream", "tasks"),
    "metrics/tasks": ("tasks", "stream"),
    "metrics/weeks": ("weeks", "slices"),
}
