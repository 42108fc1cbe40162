"""``python -m chartmogul_async.cli``, for where scripts are not on the path."""

from chartmogul_async.cli import main

main()
