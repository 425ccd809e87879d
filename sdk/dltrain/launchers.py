"""What a command line with mpirun, mpiexec, torchrun or horovodrun says: pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from dltrain.errors import Problem, SpecError
from dltrain.launcher_options import (
    EXCLUDED,
    FOLDERS,
    LAUNCHERS,
    MPI,
    OF_HYDRA,
    OF_OPEN_MPI,
    PER_NODE,
    RANKS,
    VARIABLE_LISTS,
    VARIABLES,
    WHY_NOT,
    Options,
)
from dltrain.shell_line import SHELLS, base, by_hand, call_of

TORCH_MODULES: Final = ("torch.distributed.run", "torch.distributed.launch")
UNKNOWN: Final = ("accelerate", "aprun", "deepspeed", "jsrun", "mpirun_rsh", "srun")
"""Launchers that cannot be taken out of a command line; in place, each rank would be a launcher."""
UNKNOWN_MODULES: Final = ("accelerate", "deepspeed", "horovod")
"""Packages whose modules, run with -m, are such launchers."""
PYTHON: Final = re.compile(r"python[\d.]*")
TAKING: Final = re.compile(r"-[^-cmWX]*([cmWX])(.*)", re.DOTALL)
"""Options of Python up to one that takes a word: the rest of its own, as in -Wignore, or else the next, as in -um."""
MODULE: Final = re.compile(r"-[^-cmWX]*m(.*)")
BETWEEN: Final = re.compile(r"[\s;&|()`'\"]+")
"""What stands between the words of a line for a shell."""


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
    passes_all: bool = False
    """Whether they get the whole of it."""
    withheld: tuple[str, ...] = ()
    """The variables that they do not get even then."""
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


def ranks_command(words: Sequence[str], *, hydra: bool = False) -> Launch:
    """What a command line starts, without its launcher.

    Args:
        words: the command line.
        hydra: whether `mpirun` is known to be Hydra's there, that of MPICH and Intel MPI.

    Raises:
        SpecError: it is nothing, needs a shell, or has a launcher or an option that is not known.
    """
    words = call_of(words)
    if not words:
        remedy = "write the program that the image would run"
        raise SpecError([Problem("spec.command", "cannot be told from the job", remedy=remedy)])
    launcher, rest = launcher_of(words)
    return launched(launcher, rest, hydra=hydra) if launcher else unlaunched(words)


def unlaunched(words: Sequence[str]) -> Launch:
    """What a command line without a known launcher at its beginning starts.

    Raises:
        SpecError: it has another launcher, or a known one behind another program.
    """
    arguments = arguments_of(words)
    named = [at for at, word in enumerate(words) if names_launcher(word)]
    if starts_module(words) or not all(is_argument(words, at, arguments) for at in named):
        raise by_hand("has a launcher that cannot be taken out of it", " ".join(words))
    program = base(words[0])
    script = [" ".join(words)] if program in SHELLS or program.endswith(".sh") else []
    return Launch(
        tuple(words),
        passes_all=True,  # it runs in the launcher's place itself
        notes=(
            *(f"{line} was not looked into: ranks may not call mpirun or torchrun" for line in script),
            *(f"{words[at]} was taken for an argument only: ranks may not call mpirun or torchrun" for at in named),
        ),
    )


def names_launcher(word: str) -> bool:
    """Whether a word is a launcher's name, or a line for a shell with such a name."""
    names = {base(part) for part in BETWEEN.split(word)}
    return not word.startswith("-") and bool(names & {*LAUNCHERS, *UNKNOWN})


def starts_module(words: Sequence[str]) -> bool:
    """Whether words have Python run a launcher's module, behind whatever program."""
    found = [(MODULE.fullmatch(word), after) for word, after in zip(words, [*words[1:], ""], strict=True)]
    modules = [option[1] or after for option, after in found if option]
    return any(name in TORCH_MODULES or name.partition(".")[0] in UNKNOWN_MODULES for name in modules)


def arguments_of(words: Sequence[str]) -> int:
    """Where the arguments of a script begin; behind all words where a program may start what its arguments name."""
    program = base(words[0])
    if PYTHON.fullmatch(program):
        return python_call(words)[1]
    if program in SHELLS:
        return next((at + 1 for at, word in enumerate(words) if at and word[:1] not in {"-", "+"}), len(words))
    return 1 if program.endswith((".sh", ".py")) else len(words)


def is_argument(words: Sequence[str], at: int, arguments: int) -> bool:
    """Whether a launcher's name is but an option's value for a script, or has nothing after it to be started.

    Args:
        words: a command line.
        at: where the name is.
        arguments: where those of the script begin.
    """
    before = words[at - 1] if at > arguments else ""
    is_value = before.startswith("-") and before != "--" and "=" not in before
    return at >= arguments and (is_value or not words[at + 1 :])


def launcher_of(words: Sequence[str]) -> tuple[str, Sequence[str]]:
    """The name of a command line's launcher, empty where it has none, and the words after it."""
    program = base(words[0])
    if PYTHON.fullmatch(program):
        module, arguments = python_call(words)
        return ("torchrun", words[arguments:]) if module in TORCH_MODULES else ("", words)
    return (program, words[1:]) if program in LAUNCHERS else ("", words)


def python_call(words: Sequence[str]) -> tuple[str, int]:
    """The module that Python runs, empty for a script; and where the arguments begin, which code after -c is one of."""
    at = 1
    while words[at:] and words[at].startswith("-"):
        found = TAKING.fullmatch(words[at])
        option, value = found.groups() if found else ("", "")
        if option == "c":
            return "", at
        after = 1 if option and not value else 0
        if option == "m":
            return value or next(iter(words[at + 1 :]), ""), at + 1 + after
        at += 1 + after
    return "", at + 1


def launched(launcher: str, words: Sequence[str], *, hydra: bool = False) -> Launch:
    """What a launcher starts.

    Args:
        launcher: one of LAUNCHERS.
        words: those after its name.
        hydra: whether `mpirun` is known to be Hydra's there.

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
    names = {option.name for option in options}
    return Launch(
        launcher=launcher,
        command=rank_of(launcher, names, program),
        variables=tuple((name, value) for name, value in variables if value is not None),
        passed=(*(name for name, value in variables if value is None), *listed(options, VARIABLE_LISTS)),
        passes_all=passes_all(launcher, names, hydra=hydra),
        withheld=listed(options, EXCLUDED),
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


def listed(options: Sequence[Option], names: Collection[str]) -> tuple[str, ...]:
    """What the lists say that some options have for values."""
    return tuple(each for option in options if option.name in names for each in option.values[0].split(","))


def passes_all(launcher: str, names: Collection[str], *, hydra: bool) -> bool:
    """Whether ranks get all variables of a launcher's environment.

    Args:
        launcher: one of LAUNCHERS.
        names: those of its options.
        hydra: whether `mpirun` is known to be Hydra's there.
    """
    if LAUNCHERS[launcher] is not MPI:
        return True  # horovodrun exports them, and what torchrun starts inherits them
    for scope in ("", "g"):  # what is said of one program counts before what is said of all
        if {f"{scope}envnone", f"{scope}envlist"} & set(names):
            return False
        if {f"{scope}envall", f"{scope}envexcl"} & set(names):
            return True
    of_hydra = launcher in OF_HYDRA or (hydra and launcher not in OF_OPEN_MPI)
    return of_hydra or bool({"env", "genv"} & set(names))  # Open MPI knows neither


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
