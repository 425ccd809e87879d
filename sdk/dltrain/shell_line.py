"""The one program that a line for a shell calls, where it needs no shell to be called: pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from typing import Final

from dltrain.errors import Problem, SpecError

SHELLS: Final = ("sh", "bash", "dash", "ash", "zsh")
BY_HAND: Final = "write the job's `command` by hand: what each rank runs, without mpirun or torchrun"
SYNTAX: Final = re.compile(r"[;&|<>$`*?\n]|^[A-Za-z_]\w*=|^(\.|cd|eval|export|source)\s")
"""What means more than itself to a shell; in quotes, too, where it is safer to ask than to guess."""
BARE_SYNTAX: Final = re.compile(r"[(){}\[\]~#]")
"""What does so outside of quotes only; in quotes it is often a part of lists and JSON."""
QUOTED: Final = re.compile(r"""'[^']*'|"(\\.|[^"\\])*"|\\.""")


def by_hand(rule: str, value: str) -> SpecError:
    """That a command line cannot be converted."""
    return SpecError([Problem("spec.command", rule, value[:60], BY_HAND)])


def base(word: str) -> str:
    """A program's name without its folder."""
    return word.rpartition("/")[2]


def call_of(words: Sequence[str]) -> Sequence[str]:
    """The words of the one call that `sh -c` makes; other words as they are.

    Raises:
        SpecError: the shell does more than one call, or something for it.
    """
    text = line_of(words)
    if text is None:
        return words
    line = text.replace("\\\n", " ").strip().removeprefix("exec ").strip()
    if SYNTAX.search(line) or BARE_SYNTAX.search(QUOTED.sub("", line)):
        rule = "is a shell script of several commands, or has variables, redirections or patterns"
        raise by_hand(rule, text.strip())
    try:
        return shlex.split(line)
    except ValueError as error:
        raise by_hand(f"is no line that a shell understands: {error}", text.strip()) from error


def line_of(words: Sequence[str]) -> str | None:
    """The line that a shell is given with -c; None where there is no shell, or where it is given a script."""
    at = 1
    while words and base(words[0]) in SHELLS and words[at : at + 1] and words[at][:1] in {"-", "+"}:
        flags = words[at] if not words[at].startswith("--") else ""
        at += 2 if flags.endswith(("o", "O")) else 1  # as in -euo pipefail
        if flags.startswith("-") and "c" in flags:
            return words[at] if words[at:] else ""
    return None
