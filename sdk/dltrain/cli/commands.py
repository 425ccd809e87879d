"""How commands are built and how their help looks: each is built when it is called or asked about, and no sooner."""

from __future__ import annotations

import inspect
from collections import UserDict
from collections.abc import Callable, Mapping
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup


class Command(TyperCommand):
    """One command; its help names arguments as its usage does: FILE, [FILE] or FILE..."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """The words behind the command's name."""
        return ["[OPTIONS]", *(in_usage(each) for each in self.get_params(ctx) if is_argument(each))]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write what the command takes."""
        arguments, options = [], []
        for parameter in self.get_params(ctx):
            name, told = parameter.get_help_record(ctx) or ("", "")
            if is_argument(parameter):
                arguments.append((word_of(parameter), without_required(told)))
            elif name:
                options.append((name, told))
        for title, rows in (("Arguments", arguments), ("Options", options)):
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


def group_of(functions: Mapping[str, Callable[..., None]]) -> type[TyperGroup]:
    """A group of commands; most calls need one of them, and building every one takes longer than all else at the start.

    Args:
        functions: name -> function, as they are listed; a function's docstring is the command's help.
    """

    class Commands(TyperGroup):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self.commands = Built(functions)

        def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - the library passes it
            """List the commands with the first line of their help."""
            with formatter.section("Commands"):
                formatter.write_dl([(name, summary(function)) for name, function in functions.items()])

    return Commands


class Built(UserDict[str, Any]):
    """Name -> command, of functions; built when it is looked up."""

    def __getitem__(self, name: str) -> Any:
        return built(name, self.data[name])


def built(name: str, function: Callable[..., None]) -> Any:
    """The command that calls a function."""
    alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    alone.command(name, cls=Command)(function)
    return typer.main.get_command(alone)


def summary(function: Callable[..., None]) -> str:
    """The first line of a function's docstring."""
    return (inspect.getdoc(function) or "").partition("\n")[0]


def is_argument(parameter: Any) -> bool:
    """Whether a parameter has no name on the command line."""
    return bool(parameter.param_type_name == "argument")


def word_of(parameter: Any) -> str:
    """How an argument is called in the help."""
    return str(parameter.metavar or parameter.name.upper())


def without_required(told: str) -> str:
    """What the library says of an argument, but for that it is required: the usage shows that."""
    return told.replace("; required]", "]").removesuffix("[required]").rstrip()


def in_usage(parameter: Any) -> str:
    """An argument in the usage: in brackets if it may be left out, with dots if it may be repeated."""
    word = word_of(parameter) if parameter.required else f"[{word_of(parameter)}]"
    return word if parameter.nargs == 1 else f"{word}..."
