"""``python -m chartmogul_async``, for environments in which scripts are not on the path."""

from chartmogul_async.cli import main

main()
