"""Completion for shells."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer


class Shell(StrEnum):
    """The shells that there is a script for."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def completion(
    shell: Annotated[Shell, typer.Argument(metavar="SHELL", help="bash, zsh or fish.", show_default=False)],
) -> None:
    """Print a script for the shell's completion.

    It completes commands, options and names of jobs: `. <(dltrain completion bash)`.

    Example: dltrain completion bash
    """
    from typer.completion import get_completion_script  # type: ignore[attr-defined]  # noqa: PLC0415 - re-exported for users, without saying so

    script = get_completion_script(prog_name="dltrain", complete_var="_DLTRAIN_COMPLETE", shell=shell.value)
    typer.echo(script)
