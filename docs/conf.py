"""How the documentation's site is built: `make docs`; the pages are read as GitHub reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

HERE = Path(__file__).parent

project = "dltrain"
extensions = ["myst_parser"]
root_doc = "docs/index"
include_patterns = [
    "docs/**.md",
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "CHANGELOG.md",
    "manifests/examples/**/README.md",
]
exclude_patterns = ["**/.*", "dltrain-runs"]
suppress_warnings = ["misc.highlighting_failure"]  # YAML with an ellipsis

myst_heading_anchors = 4
myst_links_external_new_tab = False
myst_url_schemes = ("http", "https", "mailto")
nitpicky = True

html_theme = "furo"
html_title = "dltrain"
html_copy_source = False
html_show_sourcelink = False
html_show_copyright = False
html_theme_options = {"top_of_page_buttons": []}
html_static_path: list[str] = []


def contents(text: str) -> str:
    """The index: without patterns that match no page, with every page that it does not name."""
    lines = [each for each in text.splitlines() if not each.endswith("*") or any(HERE.glob(f"{each}.md"))]
    listed = {page for each in lines if each for page in HERE.glob(f"{each}.md")}
    others = sorted(page.stem for page in HERE.glob("*.md") if page not in listed and page.stem != "index")
    more = ["", "```{toctree}", ":caption: More", ":maxdepth: 1", "", *others, "```"] if others else []
    return "\n".join([*lines, *more])


def read_index(_: Any, name: str, source: list[str]) -> None:
    """Complete the index as it is read."""
    if name == root_doc:
        source[0] = contents(source[0])


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("source-read", read_index)
