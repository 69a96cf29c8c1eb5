"""Sphinx configuration: furo, Markdown by MyST, the reference from the docstrings."""

project = "scalable"
author = "the scalable developers"
copyright = "2026, the scalable developers"  # noqa: A001 - Sphinx's name for it

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
html_title = "scalable"
exclude_patterns = ["_build"]

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 2
suppress_warnings = ["myst.xref_missing"]  # links to files of the repository that are no pages

autodoc_typehints = "none"
autodoc_member_order = "bysource"
nitpick_ignore_regex = [
    ("py:.*", r"(distributed|dask|numpy)\..*"),  # no inventory is fetched
    ("py:.*", r"scalable\..*"),  # private homes of public names
]
