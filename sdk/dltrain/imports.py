"""What a function's text takes from its module: the imports that travel with it, and what does not."""

from __future__ import annotations
import __future__

import builtins
import dis
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from itertools import takewhile
from types import CodeType, ModuleType
from typing import Any, Final

from dltrain.errors import Problem, SpecError

LOADS: Final = frozenset({"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"})
"""Instructions that look a name up outside of functions, in Python 3.11 to 3.14."""
TAKES: Final = frozenset({"LOAD_ATTR", "LOAD_METHOD"})
"""Instructions that take an attribute of what was loaded just before."""
STORES: Final = frozenset({"STORE_GLOBAL", "STORE_NAME"})
GIVEN: Final = frozenset({"__name__", "__annotations__"})
"""Names that every module and class has; the body of a class reads them."""

Chain = tuple[str, ...]
"""A name, and the attributes that are taken of it one after another: `("os", "path", "join")`."""


def imports_of(function: Callable[..., Any], text: str) -> list[str]:
    """The imports for the names that a function's text takes from its module.

    Args:
        function: whose module the names are looked up in.
        text: its definition, as it travels.

    Raises:
        SpecError: the text is no Python, or a name is no module and nothing that a module has; holds all of them.
    """
    found = inspect.unwrap(function)  # of which the text is
    chains = chains_of(found, text)
    lines, problems = loads_of(found, chains), []
    for name in sorted({name for name, *_ in chains}):
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


def chains_of(function: Any, text: str) -> AbstractSet[Chain]:
    """The names that a function's text does not define itself, each with the attributes that it takes of it.

    They are taken from the text, not from the function: what travels has no annotations that are evaluated, and its
    default values are evaluated anew.

    Raises:
        SpecError: the text is no Python.
    """
    try:
        flags = __future__.annotations.compiler_flag
        whole = compile(text, "<function>", "exec", flags, dont_inherit=True)
        chains = looked_up(whole, {code: made_global(code) for code in all_of(whole)})
        return {chain for chain in chains if chain[0] not in GIVEN}
    except SyntaxError as error:
        if function.__code__.co_freevars:  # a `nonlocal`, which means nothing without the function around it
            return {(name,) for name in function.__code__.co_freevars}
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
) -> Iterator[Chain]:
    """What code and all code within it look up outside of functions, but for the names that it binds before.

    Args:
        code: of a module, class, function, lambda, generator and so on.
        shared: the global names that each code of the text sets.
        known: names that the code around it binds for it.
    """
    bound = set(known)
    if code.co_name != "<module>":  # which runs before all other code
        bound.update(*(names for other, names in shared.items() if other != code))  # called in whatever order
    inherited = STORES if code.co_name == "<module>" else {"STORE_GLOBAL"}  # names of a class are not its methods'
    for each, attributes in with_attributes(code):
        if each.opname in STORES:
            bound.add(each.argval)
            known = known | {each.argval} if each.opname in inherited else known
        elif each.opname in LOADS and each.argval not in bound:
            yield each.argval, *attributes
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from looked_up(constant, shared, known)


def with_attributes(code: CodeType) -> Iterator[tuple[dis.Instruction, Chain]]:
    """The instructions of code, each with the attributes that are taken of what it loads."""
    # an EXTENDED_ARG comes between where a code has more names than fit into a byte
    instructions = [each for each in dis.get_instructions(code) if each.opname != "EXTENDED_ARG"]
    for at, each in enumerate(instructions, 1):
        following = (instructions[later] for later in range(at, len(instructions)))
        yield each, tuple(taken.argval for taken in takewhile(lambda taken: taken.opname in TAKES, following))


def loads_of(function: Callable[..., Any], chains: Iterable[Chain]) -> list[str]:
    """Lines that load the submodules that chains lead to, for the import of a package loads none of them."""
    modules = {submodule(function.__globals__.get(name), attributes) for name, *attributes in chains}
    # an import statement would bind a name, and the function may use that name for something else
    return [f"__import__({module!r})" for module in modules if module]


def submodule(value: Any, attributes: Iterable[str]) -> str | None:
    """What the last submodule is imported as that attributes of a value lead to; None where there is none."""
    last = None
    for attribute in attributes:
        name = f"{value.__name__}.{attribute}" if isinstance(value, ModuleType) else ""
        loaded = sys.modules.get(name)
        if loaded is None or getattr(value, attribute, None) is not loaded:
            break
        last, value = name, loaded
    return last


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
