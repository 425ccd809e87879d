"""Hypothesis strategies that those of jobs are made of: names, text, numbers, mappings."""

from typing import Any, Final

from hypothesis import strategies as st

Mappings = st.SearchStrategy[dict[str, Any]]

NAMES: Final = st.from_regex(r"[a-z]([-a-z0-9]{0,50}[a-z0-9])?", fullmatch=True)
TEXT: Final = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=20)
WORDS: Final = TEXT.filter(bool)
JSON: Final = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


def some(**fields: st.SearchStrategy[Any]) -> Mappings:
    """Mappings with any of these fields."""
    return st.fixed_dictionaries({}, optional=fields)


def merged(*parts: Mappings) -> Mappings:
    """Mappings with the fields of several."""
    return st.builds(lambda *each: {name: value for part in each for name, value in part.items()}, *parts)


def number(
    low: float, high: float, *, low_included: bool = True, high_included: bool = True
) -> st.SearchStrategy[float]:
    """Finite numbers between two."""
    return st.floats(low, high, exclude_min=not low_included, exclude_max=not high_included)


def span(
    names: tuple[str, str], bounds: tuple[float, float], defaults: tuple[float, float], *, strict: bool = False
) -> Mappings:
    """Mappings with none, one or both ends of an interval, in their order.

    Args:
        names: of the fields of the lower and the higher end.
        bounds: within which both lie.
        defaults: of the ends.
        strict: whether the ends must differ.
    """
    low, high = names
    ends = st.tuples(number(*bounds), number(*bounds)).map(sorted)
    both = ends.filter(lambda pair: pair[0] < pair[1]) if strict else ends
    return st.one_of(
        st.just({}),
        number(bounds[0], defaults[1], high_included=not strict).map(lambda value: {low: value}),
        number(defaults[0], bounds[1], low_included=not strict).map(lambda value: {high: value}),
        both.map(lambda pair: {low: pair[0], high: pair[1]}),
    )


def one_of_each(**options: Mappings) -> Mappings:
    """Mappings with one of these fields."""
    return st.one_of(*(st.fixed_dictionaries({name: fields}) for name, fields in options.items()))
