"""``python -m tests.soak``: mixed load, faults and cancellations for any length of time; nothing may grow."""
