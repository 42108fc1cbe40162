"""``python -m tests.fuzz``: a coverage-guided fuzzer; its findings are kept in ``findings/`` and replayed by pytest."""
