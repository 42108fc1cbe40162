"""``python -m tests.soak``: mixed load, faults and cancellations for as long as one likes; everything stays flat."""
