"""The reference page of the command line, generated from the commands; `python -m dltrain.cli.reference` prints it."""

from __future__ import annotations

import sys
from typing import Final

import typer.main

from dltrain.cli.app import COMMANDS, HELP, app

HEAD: Final = """\
<!-- Generated from dltrain.cli by `make reference`; do not edit. -->
# Reference: the command line
"""
WIDTH: Final = 100


def reference() -> str:
    """The page, in Markdown."""
    group = typer.main.get_command(app)
    context = group.make_context("dltrain", [], resilient_parsing=True, terminal_width=WIDTH, max_content_width=WIDTH)
    parts = [HEAD, HELP, "", "`kubectl dltrain` is the same program.", ""]
    for name in COMMANDS:
        command = group.get_command(context, name)  # type: ignore[attr-defined]  # it is a group
        own = command.make_context(
            name, [], parent=context, resilient_parsing=True, terminal_width=WIDTH, max_content_width=WIDTH
        )
        lines = (line.rstrip() for line in command.get_help(own).splitlines())
        parts += [f"## {name}", "", "```text", *lines, "```", ""]
    return "\n".join(parts)


if __name__ == "__main__":
    sys.stdout.write(reference())
