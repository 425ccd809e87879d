"""What a function's text takes from its module: the imports that travel with it, and what does not."""

from __future__ import annotations
import __future__

import builtins
import dis
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from types import CodeType, ModuleType
from typing import Any, Final

from dltrain.errors import Problem, SpecError

LOADS: Final = frozenset({"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"})
"""Instructions that look a name up outside of functions, in Python 3.11 to 3.14."""
STORES: Final = frozenset({"STORE_GLOBAL", "STORE_NAME"})
GIVEN: Final = frozenset({"__name__", "__annotations__"})
"""Names that every module and class has; the body of a class reads them."""


def imports_of(function: Callable[..., Any], text: str) -> list[str]:
    """The imports for the names that a function's text takes from its module.

    Args:
        function: whose module the names are looked up in.
        text: its definition, as it travels.

    Raises:
        SpecError: the text is no Python, or a name is no module and nothing that a module has; holds all of them.
    """
    found = inspect.unwrap(function)  # of which the text is
    lines, problems = [], []
    for name in sorted(names_of(found, text)):
        if name in found.__code__.co_freevars:
            problems.append(travels_not(function, name, "a variable of the function around it"))
        elif name in found.__globals__:
            value = found.__globals__[name]
            line = import_line(found, name, value)
            lines += [line] if line else []
            problems += [] if line else [travels_not(function, name, f"a {type(value).__name__} of its module")]
        elif not hasattr(builtins, name):
            where = " in its module" if "<locals>" in found.__qualname__ else ""  # it may be around a default value
            problems.append(travels_not(function, name, f"not defined{where}"))
    if problems:
        raise SpecError(problems)
    return sorted(lines)


def names_of(function: Any, text: str) -> AbstractSet[str]:
    """The names that a function's text does not define itself.

    They are taken from the text, not from the function: what travels has no annotations that are evaluated, and its
    default values are evaluated anew.

    Raises:
        SpecError: the text is no Python.
    """
    try:
        flags = __future__.annotations.compiler_flag
        whole = compile(text, "<function>", "exec", flags, dont_inherit=True)
        return set(looked_up(whole, {code: made_global(code) for code in all_of(whole)})) - GIVEN
    except SyntaxError as error:
        if function.__code__.co_freevars:  # a `nonlocal`, which means nothing without the function around it
            return set(function.__code__.co_freevars)
        remedy = "define it with def in a file or a notebook's cell"
        rule = f"cannot be shipped, its source alone is no Python: {error.msg}"
        raise SpecError([Problem(f"{function.__name__}()", rule, remedy=remedy)]) from error


def all_of(code: CodeType) -> Iterator[CodeType]:
    """Code, and all code within it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from all_of(constant)


def made_global(code: CodeType) -> AbstractSet[str]:
    """The names that code itself sets and declares `global`."""
    return {each.argval for each in dis.get_instructions(code) if each.opname == "STORE_GLOBAL"}


def looked_up(
    code: CodeType, shared: Mapping[CodeType, AbstractSet[str]], known: AbstractSet[str] = frozenset()
) -> Iterator[str]:
    """The names that code and all code within it look up outside of functions, but for those that it binds before.

    Args:
        code: of a module, class, function, lambda, generator and so on.
        shared: the global names that each code of the text sets.
        known: names that the code around it binds for it.
    """
    bound = set(known)
    if code.co_name != "<module>":  # which runs before all other code
        bound.update(*(names for other, names in shared.items() if other != code))  # called in whatever order
    inherited = STORES if code.co_name == "<module>" else {"STORE_GLOBAL"}  # names of a class are not its methods'
    for each in dis.get_instructions(code):
        if each.opname in STORES:
            bound.add(each.argval)
            known = known | {each.argval} if each.opname in inherited else known
        elif each.opname in LOADS and each.argval not in bound:
            yield each.argval
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from looked_up(constant, shared, known)


def import_line(function: Callable[..., Any], name: str, value: Any) -> str | None:
    """How a name of the function's module is imported anew; None where it cannot be."""
    if isinstance(value, ModuleType):
        return f"import {value.__name__} as {name}"
    home, known = getattr(value, "__module__", None), getattr(value, "__name__", "")
    if home in {None, "__main__", function.__module__} or getattr(sys.modules.get(home), known, None) is not value:
        return None
    return f"from {home} import {known} as {name}"


def travels_not(function: Callable[..., Any], name: str, what: str) -> Problem:
    """That a name does not travel with a function."""
    remedy = "define or import it inside the function, or make it a parameter"
    return Problem(f"{function.__name__}()", f"uses {name}, which is {what} and does not travel with it", remedy=remedy)
