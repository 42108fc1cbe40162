"""``python -m tests.mutation``: whether a test fails for each small change of the code; survivors are listed."""
