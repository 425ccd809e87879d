"""What a command line with mpirun, mpiexec, torchrun or horovodrun says: pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from dltrain.errors import Problem, SpecError
from dltrain.launcher_options import (
    FOLDERS,
    LAUNCHERS,
    MPI,
    PER_NODE,
    RANKS,
    VARIABLE_LISTS,
    VARIABLES,
    WHY_NOT,
    Options,
)
from dltrain.shell_line import SHELLS, base, by_hand, call_of

TORCH_MODULES: Final = ("torch.distributed.run", "torch.distributed.launch")
UNKNOWN: Final = ("accelerate", "deepspeed", "srun")
"""Launchers that cannot be taken out of a command line; in place, each rank would be a launcher."""
BEFORE: Final = ("env", "nice", "nohup", "numactl", "stdbuf", "time", "timeout")
"""Programs that start the one which their arguments name."""


@dataclass(frozen=True, slots=True)
class Launch:
    """What a command line starts."""

    command: tuple[str, ...]
    """What each rank runs."""
    launcher: str = ""
    """The name of what starts the ranks there; empty where nothing does."""
    variables: tuple[tuple[str, str], ...] = ()
    """Names and values of what the launcher adds to the environment of the ranks."""
    passed: tuple[str, ...] = ()
    """The variables that ranks get from the launcher's own environment."""
    ranks: str = ""
    """How many, as written; empty where it does not say."""
    per_node: str = ""
    """How many a node, as written: a number, `gpu`, `cpu` or `auto`; empty where it does not say."""
    folder: str = ""
    """Where the ranks start; empty where it does not say."""
    notes: tuple[str, ...] = ()
    """What was left out, a sentence each."""


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a launcher."""

    name: str
    """Without dashes, and with - for _."""
    values: tuple[str, ...]
    text: str
    """As it was written, with its values."""


def ranks_command(words: Sequence[str]) -> Launch:
    """What a command line starts, without its launcher.

    Raises:
        SpecError: it is nothing, needs a shell, or has a launcher or an option that is not known.
    """
    words = call_of(words)
    if not words:
        remedy = "write the program that the image would run"
        raise SpecError([Problem("spec.command", "cannot be told from the job", remedy=remedy)])
    launcher, rest = launcher_of(words)
    return launched(launcher, rest) if launcher else unlaunched(words)


def unlaunched(words: Sequence[str]) -> Launch:
    """What a command line without a known launcher starts.

    Raises:
        SpecError: it has another launcher, or a known one behind another program.
    """
    program = base(words[0])
    if program in UNKNOWN or (program in BEFORE and {*LAUNCHERS, *UNKNOWN} & {base(word) for word in words}):
        raise by_hand("has a launcher that cannot be taken out of it", " ".join(words))
    script = program in SHELLS or program.endswith(".sh")
    notes = (f"{' '.join(words)} was not looked into: ranks may not call mpirun or torchrun",) if script else ()
    return Launch(tuple(words), notes=notes)


def launcher_of(words: Sequence[str]) -> tuple[str, Sequence[str]]:
    """The name of a command line's launcher, empty where it has none, and the words after it."""
    program, at = base(words[0]), 1
    if re.fullmatch(r"python[\d.]*", program):
        while words[at:] and re.fullmatch(r"-[a-zA-Z]", words[at]) and words[at] != "-m":
            at += 1  # as in python3 -u -m torch.distributed.run
        is_torch = words[at:] and words[at] == "-m" and words[at + 1 : at + 2] and words[at + 1] in TORCH_MODULES
        return ("torchrun", words[at + 2 :]) if is_torch else ("", words)
    return (program, words[1:]) if program in LAUNCHERS else ("", words)


def launched(launcher: str, words: Sequence[str]) -> Launch:
    """What a launcher starts.

    Args:
        launcher: one of LAUNCHERS.
        words: those after its name.

    Raises:
        SpecError: an option is not known, or no program is started, or several are.
    """
    known = LAUNCHERS[launcher]
    options, program = options_of(known, words)
    if not program:
        raise by_hand("starts no program", " ".join([launcher, *words]))
    if known is MPI and ":" in program:
        raise by_hand("starts several programs", " ".join(program))
    variables = [variable_of(option) for option in options if option.name in VARIABLES]
    lists = [option.values[0].split(",") for option in options if option.name in VARIABLE_LISTS]
    return Launch(
        launcher=launcher,
        command=rank_of(launcher, {option.name for option in options}, program),
        variables=tuple((name, value) for name, value in variables if value is not None),
        passed=(*(name for name, value in variables if value is None), *(name for names in lists for name in names)),
        ranks=last(options, RANKS),
        per_node=per_node(options),
        folder=last(options, FOLDERS),
        notes=tuple(
            f"{option.text} was left out: {WHY_NOT.get(option.name, 'dltrain does not know it')}"
            for option in options
            if option.name in WHY_NOT or option.name not in known
        ),
    )


def options_of(known: Options, words: Sequence[str]) -> tuple[list[Option], Sequence[str]]:
    """The options that words begin with, and the other words.

    Raises:
        SpecError: an option is not known, so that nobody can tell what belongs to it.
    """
    found, at = [], 0
    while words[at:] and words[at].startswith("-"):
        written, given, value = words[at].partition("=")
        name = written.lstrip("-").replace("_", "-")
        if name not in known and not given:
            raise by_hand("has a launcher's option that dltrain does not know", words[at])
        after = 0 if given else following(known, name, words[at + 1 :])
        values = (value,) if given else tuple(words[at + 1 : at + 1 + after])
        found.append(Option(name, values, " ".join(words[at : at + 1 + after])))
        at += 1 + after
    return found, words[at:]


def following(known: Options, name: str, words: Sequence[str]) -> int:
    """How many of the words after an option are its own."""
    in_one = name in VARIABLES and words and "=" in words[0]  # -genv A=1 as well as -genv A 1
    return 1 if in_one else known[name]


def variable_of(option: Option) -> tuple[str, str | None]:
    """Name and value of a variable; without a value it is the launcher's own."""
    name, given, value = option.values[0].partition("=")
    return name, value if given else next(iter(option.values[1:]), None)


def last(options: Sequence[Option], names: Collection[str]) -> str:
    """The value of the last of some options, which is the one that counts; empty if there is none."""
    return next((option.values[0] for option in reversed(options) if option.name in names), "")


def per_node(options: Sequence[Option]) -> str:
    """How many ranks a node has, as written."""
    placed = re.match(r"(?:ppr:)?(\d+):node", last(options, {"map-by", "ppr"}))
    alone = "1" if any(option.name == "pernode" for option in options) else ""
    return last(options, PER_NODE) or (placed[1] if placed else alone)


def rank_of(launcher: str, names: Collection[str], program: Sequence[str]) -> tuple[str, ...]:
    """What a rank runs, with the Python that torchrun adds, and that a script without it needs."""
    if launcher == "torchrun" and "no-python" not in names:
        return ("python3", *(["-m"] if {"m", "module"} & set(names) else []), *program)
    is_script = launcher != "torchrun" and program[0].endswith(".py")
    return ("python3", *program) if is_script else tuple(program)
