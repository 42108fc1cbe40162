"""The pages as a site: ``nox -s docs``. Every warning is an error, and every name must lead somewhere."""

from importlib.metadata import version as version_of

project = "chartmogul_async"
author = "The chartmogul_async maintainers"
copyright = "The chartmogul_async maintainers"
release = version = version_of("chartmogul-async")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
html_title = f"chartmogul_async {release}"
# The examples are programs, linked to as files.
exclude_patterns = ["examples/*.md", "_build"]

nitpicky = True
# Names of other libraries, which a build without a network cannot look up; and type variables.
nitpick_ignore_regex = [
    ("py:.*", r"(anyio|asyncio|attrs?|collections|contextlib|datetime|decimal|dlt|httpx|opentelemetry)\..*"),
    ("py:.*", r"(os|pathlib|ssl|taskiq|types|typing)\..*"),
    ("py:.*", r"([a-z_]+\.)*([A-Z]|[A-Z]_co|Any|Self|Never)"),
    ("py:class", r"chartmogul_async\.metrics\.arrow\.ArrowTable"),
    # What users are given, or give away again, without a need to know its parts.
    ("py:.*", r"chartmogul_async\.(analysis|sandbox|structuring|transport)\.[a-z_]+\..*"),
]

myst_heading_anchors = 3
# Links to files of the repository are checked by the tests.
suppress_warnings = ["myst.xref_missing"]

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True}
napoleon_use_ivar = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
