"""What a function takes from its module: wherever in the function it is used, it is found, and shipped or refused."""

import functools
import json
import math
import sys
from collections.abc import Callable
from math import floor
from types import ModuleType
from typing import Any

import pytest

from dltrain.errors import SpecError
from dltrain.functions import source_of

RATE = 0.5


def in_a_lambda() -> Any:
    """Use names in a lambda alone."""
    return [*map(lambda number: math.sqrt(number) * RATE, range(3))]  # noqa: C417 - a lambda is what is tested


def in_a_generator() -> Any:
    """Use names in a generator alone."""
    return sum(math.sqrt(number) * RATE for number in range(3))


def in_a_comprehension() -> Any:
    """Use names in comprehensions alone."""
    return [math.sqrt(number) for number in range(3)], {number + RATE for number in range(3)}


def in_an_inner_function() -> Any:
    """Use names two functions below."""

    def outer() -> Any:
        def inner() -> float:
            return math.sqrt(RATE)

        return inner()

    return outer()


def in_a_class() -> Any:
    """Use names in the body of a class and in its method."""

    class Net:
        """With an attribute that only has the module's name, and one of the class alone."""

        rate = RATE
        twice = rate * 2

        def run(self) -> float:
            return math.sqrt(self.twice)

    return Net().run()


def in_a_default(rate: float = RATE, root: float = math.sqrt(4)) -> Any:
    """Use names in default values alone."""
    return rate, root


def in_a_keyword_default(*, rate: Any = lambda: RATE, root: float = math.sqrt(4)) -> Any:
    """Use names in default values of keywords, one of them in a lambda."""
    return rate(), root


PLACES = [
    in_a_lambda,
    in_a_generator,
    in_a_comprehension,
    in_an_inner_function,
    in_a_class,
    in_a_default,
    in_a_keyword_default,
]


@pytest.mark.parametrize("function", PLACES, ids=lambda function: function.__name__)
def test_a_constant_does_not_travel_wherever_it_is_used(function: Callable[..., Any]) -> None:
    with pytest.raises(SpecError) as caught:
        source_of(function)
    assert str(caught.value) == (
        f"{function.__name__}(): uses RATE, which is a float of its module and does not travel with it; define or "
        "import it inside the function, or make it a parameter"
    )


@pytest.mark.parametrize("function", PLACES, ids=lambda function: function.__name__)
def test_a_module_travels_wherever_it_is_used(function: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "RATE", floor)  # what can be imported, in the constant's place
    assert source_of(function).splitlines()[:4] == [
        "from __future__ import annotations",
        "",
        "from math import floor as RATE",
        "import math as math",
    ]


@pytest.mark.parametrize("function", PLACES, ids=lambda function: function.__name__)
def test_a_submodule_is_loaded_wherever_it_is_used(
    function: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    package = ModuleType("package")
    package.sqrt = ModuleType("package.sqrt")  # type: ignore[attr-defined]  # as the import of a submodule does
    monkeypatch.setitem(sys.modules, "package.sqrt", package.sqrt)
    monkeypatch.setitem(globals(), "math", package)
    monkeypatch.setitem(globals(), "RATE", floor)
    assert source_of(function).splitlines()[:6] == [
        "from __future__ import annotations",
        "",
        "__import__('package.sqrt')",
        "from math import floor as RATE",
        "import package as math",
        "",
    ]


def all_over(numbers: Any = (floor, 4)) -> Any:
    """Use modules in many places."""

    class Text:
        text = json.dumps([])

        def all(self) -> str:
            return self.text + json.dumps([*map(lambda number: math.sqrt(number) + 1, range(3))])  # noqa: C417 - see above

    return Text().all(), [math.sin(number) for number in range(3)], numbers


def counts_down(number: int) -> Any:
    """Call itself."""
    return number and counts_down(number - 1)


def imports_for_all() -> Any:
    """Make a global name, and use it below."""
    global decimals  # noqa: PLW0603 - which is the point
    import decimal as decimals  # noqa: PLC0415 - it travels with the function

    return [str(decimals.Decimal(number)) for number in range(2)]


def shares_what_a_sibling_sets(n: int = 4) -> Any:
    """Set a global name in one inner function, and use it in another and in the function around them."""

    def start() -> None:
        global table  # noqa: PLW0603 - which is the point
        table = list(range(n))  # type: ignore[name-defined]

    def work(i: int) -> Any:
        return table[i]  # type: ignore[name-defined]

    start()
    return [work(i) for i in range(n)], len(table)  # type: ignore[name-defined]


def says_its_module() -> Any:
    """Use a name that every module has."""
    return bool(__name__)


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (all_over, ()),
        (counts_down, (3,)),
        (imports_for_all, ()),
        (shares_what_a_sibling_sets, ()),
        (says_its_module, ()),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_is_shipped_does_alone_what_the_function_does(function: Any, arguments: tuple[int, ...]) -> None:
    alone: dict[str, Any] = {"__name__": "alone"}
    exec(compile(source_of(function), "alone.py", "exec", dont_inherit=True), alone)
    assert alone[function.__name__](*arguments) == function(*arguments)


def shares_what_nobody_sets() -> Any:
    """Use one name that is set nowhere, and one that is set after it is used and by nobody else."""

    def start() -> None:
        global late  # noqa: PLW0603 - which is the point
        late = [late, unset]  # type: ignore[name-defined]  # noqa: F821

    def work() -> Any:
        return unset  # type: ignore[name-defined]  # noqa: F821

    start()
    return work()


def test_a_global_name_that_no_other_code_sets_is_refused() -> None:
    with pytest.raises(SpecError) as caught:
        source_of(shares_what_nobody_sets)
    assert [problem.rule for problem in caught.value.problems] == [
        f"uses {name}, which is not defined and does not travel with it" for name in ("late", "unset")
    ]


def test_annotations_need_nothing_for_they_are_not_evaluated() -> None:
    class Local:
        """A class that cannot be imported."""

    def annotated(first: Local, second: "nowhere" = None) -> Local:  # type: ignore[name-defined]  # noqa: F821
        def inner(third: Local) -> Local:
            fourth: Local = third
            return fourth

        return inner(first)

    assert source_of(annotated).splitlines()[:3] == ["from __future__ import annotations", "", ""]


def test_variables_of_the_function_around_are_refused_wherever_they_are_used() -> None:
    rate, count = 1, 0

    def uses(seen: int = rate) -> Any:
        nonlocal count
        count += 1
        return seen

    def sums(seen: int = rate) -> Any:
        return [seen * count for _ in range(3)]

    told = []
    for function in (uses, sums):
        with pytest.raises(SpecError) as caught:
            source_of(function)
        told.append([problem.rule for problem in caught.value.problems])
    assert told == [
        ["uses count, which is a variable of the function around it and does not travel with it"],
        [
            "uses count, which is a variable of the function around it and does not travel with it",
            "uses rate, which is not defined in its module and does not travel with it",
        ],
    ]


def quiet(function: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator of another module, as far as its names go."""
    names = {"functools": functools, "function": function}
    exec("@functools.wraps(function)\ndef wrapper(*words):\n    return function(*words)", names)
    return names["wrapper"]  # type: ignore[return-value]  # which exec has made


def test_names_are_those_of_the_function_below_its_decorators() -> None:
    assert "import math as math" in source_of(quiet(takes_a_root)).splitlines()


def takes_a_root() -> float:
    """Use a module."""
    return math.sqrt(4)


if RATE:

    def cut() -> Any:
        """Have text at the margin, so that where it starts cannot be told."""
        return """
def of its own
"""


def test_a_source_that_is_no_python_by_itself_is_refused() -> None:
    with pytest.raises(SpecError) as caught:
        source_of(cut)
    assert str(caught.value).startswith("cut(): cannot be shipped, its source alone is no Python: ")
