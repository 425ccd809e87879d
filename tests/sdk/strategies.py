"""Hypothesis strategies: job documents that are valid, and documents with one thing changed."""

import copy
from typing import Any, Final

from hypothesis import strategies as st

from tests.sdk.builders import HEAD

NAMES: Final = st.from_regex(r"[a-z]([-a-z0-9]{0,50}[a-z0-9])?", fullmatch=True)
TEXT: Final = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=20)
PROGRAMS: Final = st.text(st.characters(codec="ascii", exclude_categories=("Cc",)), min_size=1, max_size=20)
AMOUNTS: Final = st.one_of(
    st.integers(0, 10**15 - 1),
    st.from_regex(r"[0-9]{1,15}(\.[0-9]{1,9})?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?", fullmatch=True),
)
JSON: Final = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Mappings with any of these fields."""
    return st.fixed_dictionaries({}, optional=fields)


def number(
    low: float, high: float, *, low_included: bool = True, high_included: bool = True
) -> st.SearchStrategy[float]:
    """Finite numbers between two."""
    return st.floats(low, high, exclude_min=not low_included, exclude_max=not high_included)


LIMITS: Final = some(
    **{"cpu": AMOUNTS, "memory": AMOUNTS, "nvidia.com/gpu": st.integers(0, 16) | st.sampled_from("0123")}
)
REQUESTS: Final = some(**{"ephemeral-storage": AMOUNTS, "example.com/fpga": AMOUNTS})  # never above a limit
WORKERS: Final = some(
    replicas=st.integers(1, 10_000),
    slotsPerWorker=st.integers(1, 1024),
    image=st.from_regex(r"[a-z0-9./:@-]{1,60}", fullmatch=True),
    resources=some(limits=LIMITS, requests=REQUESTS),
    template=some(metadata=some(labels=some(team=NAMES)), spec=some(nodeSelector=some(disk=NAMES))),
)
SOURCES: Final = st.one_of(
    st.just({"source": "fashion-mnist"}),
    st.builds(
        lambda path, form: {"source": f"file:///{path}", "format": form},
        st.text("abc/-_. ", min_size=1, max_size=30),
        st.sampled_from(["idx", "npz"]),
    ),
)
DATA: Final = st.builds(
    lambda source, more: {**source, **more},
    SOURCES,
    some(
        transforms=st.lists(st.just({"normalize": {}}), max_size=4),
        limit=some(train=st.integers(1, 10**6), test=st.integers(1, 10**6)),
    ),
)
TRAIN: Final = some(
    epochs=st.integers(1, 100_000),
    globalBatchSize=st.integers(1, 1_048_576),
    loss=st.just("crossEntropy"),
    optimizer=some(
        name=st.just("sgd"),
        lr=number(0, 1000, low_included=False),
        momentum=number(0, 1, high_included=False),
    ),
    schedule=some(name=st.sampled_from(["constant", "cosine"]), warmupEpochs=number(0, 1)),
    regularization=some(weightDecay=number(0, 1)),
    seed=st.integers(0, 2**31 - 1),
)
PIPELINE: Final = st.fixed_dictionaries(
    {"data": DATA, "model": st.fixed_dictionaries({"name": st.sampled_from(["cnn", "resnet18"])})},
    optional={
        "train": TRAIN,
        "evaluate": some(metrics=st.just(["accuracy"])),
        "export": some(formats=st.just(["safetensors"])),
    },
)
COMMAND: Final = st.builds(lambda program, rest: [program, *rest], PROGRAMS, st.lists(TEXT, max_size=4))
POLICY: Final = some(
    suspend=st.booleans(),
    backoffLimit=st.integers(0, 1000),
    activeDeadlineSeconds=st.integers(1, 31_536_000),
    ttlSecondsAfterFinished=st.integers(0, 31_536_000),
    cleanPodPolicy=st.sampled_from(["Running", "All"]),
)
SPECS: Final = st.builds(
    lambda work, more: {**work, **more},
    st.builds(lambda value: {"pipeline": value}, PIPELINE) | st.builds(lambda value: {"command": value}, COMMAND),
    some(
        workers=WORKERS,
        checkpoint=some(keep=st.integers(1, 1000)),
        storage=st.builds(lambda name: {"claimName": name}, NAMES),
        runPolicy=POLICY,
    ),
)
METADATA: Final = st.fixed_dictionaries(
    {"name": NAMES}, optional={"labels": some(team=NAMES), "annotations": some(note=TEXT)}
)
JOBS: Final = st.builds(lambda metadata, spec: {**HEAD, "metadata": metadata, "spec": spec}, METADATA, SPECS)
"""Documents of valid jobs."""

WRONG: Final = st.one_of(
    st.integers(-2, 2),
    st.sampled_from([10**12, 1.0, 0.5, -0.5, 1000.5, "", "1", "x", "No_Name", "true", "1.5", "2Gi", "a..b"]),
    st.booleans(),
    st.sampled_from([[], {}, [1], ["x"], {"x": 1}, [{}]]),
)
"""Values that are wrong in most places."""


def places(value: Any, way: tuple[int | str, ...] = ()) -> list[tuple[int | str, ...]]:
    """The ways to every value inside a document, but for free-form ones."""
    if way and way[-1] in {"template", "annotations", "labels", "managedFields"}:
        return []
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [*((way,) if way else ()), *(place for key, part in inner for place in places(part, (*way, key)))]


def changed(document: dict[str, Any], way: tuple[int | str, ...], value: Any) -> dict[str, Any]:
    """A copy of a document with one value replaced."""
    result = copy.deepcopy(document)
    inner: Any = result
    for step in way[:-1]:
        inner = inner[step]
    inner[way[-1]] = value
    return result


@st.composite
def mutants(draw: st.DrawFn) -> dict[str, Any]:
    """Documents with one value replaced, removed or added; most are invalid."""
    document = draw(JOBS)
    spec = [place for place in places(document) if place[0] == "spec" and len(place) > 1]
    way = draw(st.sampled_from(spec))
    what = draw(st.sampled_from(["replace", "remove", "add"]))
    if what == "replace":
        return changed(document, way, draw(WRONG))
    inner: Any = (result := copy.deepcopy(document))
    for step in way[:-1]:
        inner = inner[step]
    if what == "remove":
        del inner[way[-1]]
    elif isinstance(inner, dict) and way[-2] not in {"limits", "requests"}:
        inner[draw(st.sampled_from(["replica", "x", "name", "format", "command", "pipeline"]))] = draw(WRONG)
    return result
