"""``python -m tests.fuzz``: a coverage-guided fuzzer; what it finds is kept in ``findings/`` and replayed by pytest."""
