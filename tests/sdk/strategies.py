"""Hypothesis strategies: job documents that are valid, and documents with one thing changed."""

import copy
from typing import Any, Final

from hypothesis import strategies as st

from tests.sdk.builders import HEAD
from tests.sdk.data_strategies import DATA
from tests.sdk.fields import NAMES, TEXT, merged, some
from tests.sdk.train_strategies import EVALUATIONS, MODELS, OF_ANY_SIZE, growing, trainings

PROGRAMS: Final = st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), min_size=1, max_size=20)
AMOUNTS: Final = st.one_of(
    st.integers(0, 10**15 - 1),
    st.from_regex(r"[0-9]{1,15}(\.[0-9]{1,9})?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?", fullmatch=True),
)
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


SHARES: Final = st.sampled_from([0.1, 0.5, 0.9])
FINE_TUNING: Final = st.integers(0, 10)
STEPS: Final = st.one_of(
    st.builds(
        lambda ratio, rest: {"prune": {"method": "channel", "ratio": ratio, **rest}},
        SHARES,
        some(
            scope=st.sampled_from(["layer", "global"]),
            importance=st.sampled_from(["norm", "firstOrder"]),
            roundTo=st.integers(1, 64),
            rounds=st.integers(1, 64),
            fineTuneEpochs=FINE_TUNING,
        ),
    ),
    st.builds(lambda field, share: {"lowRank": {field: share}}, st.sampled_from(["energy", "share"]), SHARES),
    st.builds(lambda epochs: {"distill": {"student": {"name": "linear"}, "epochs": epochs}}, st.integers(1, 10)),
)
LAST_STEPS: Final = st.one_of(
    st.just([]),
    st.builds(
        lambda rest: [{"quantize": {"method": "static", **rest}}],
        some(
            calibration=st.sampled_from(["minmax", "entropy"]),
            calibrationSamples=st.integers(1, 100_000),
            maxFloatLayers=st.integers(0, 1000),
            perChannel=st.booleans(),
            fineTuneEpochs=st.integers(1, 10),
        ),
    ),
    st.builds(lambda bits: [{"quantize": {"method": "weightOnly", "bits": bits}}], st.sampled_from([4, 8])),
)
COMPRESSIONS: Final = st.builds(
    lambda steps, last, rest: {"steps": [*steps, *last], **rest},
    st.lists(STEPS, min_size=1, max_size=4),
    LAST_STEPS,
    some(
        gate=some(maxDrop=st.sampled_from([0, 0.01]), minSpeedup=st.sampled_from([1, 2.5]), maxBytes=st.integers(1, 9)),
        required=st.booleans(),
        fineTuneRate=st.sampled_from([0.1, 1.0]),
    ),
)


STAGES: Final = {
    "evaluate": EVALUATIONS,
    "compress": COMPRESSIONS,
    "export": some(formats=st.sampled_from([["safetensors"], ["onnx", "onnxInt8"], ["torchExport"]])),
}


def pipelines(backend: str) -> st.SearchStrategy[dict[str, Any]]:
    """Pipelines of jobs with a backend."""
    return st.one_of(
        st.fixed_dictionaries({"data": DATA, "model": MODELS}, optional={"train": trainings(backend), **STAGES}),
        st.fixed_dictionaries(
            {"data": DATA, "model": OF_ANY_SIZE, "train": merged(trainings(backend), growing())},
            optional=STAGES,
        ),
    )


SCHEDULING: Final = some(
    priorityClassName=NAMES,
    topologyKey=st.sampled_from(["topology.kubernetes.io/zone", "rack"]),
    queueName=NAMES,
)
COMMAND: Final = st.builds(lambda program, rest: [program, *rest], PROGRAMS, st.lists(TEXT, max_size=4))
POLICY: Final = some(
    suspend=st.booleans(),
    backoffLimit=st.integers(0, 1000),
    activeDeadlineSeconds=st.integers(1, 31_536_000),
    ttlSecondsAfterFinished=st.integers(0, 31_536_000),
    cleanPodPolicy=st.sampled_from(["Running", "All"]),
    startupDeadlineSeconds=st.integers(1, 31_536_000),
    managedBy=st.sampled_from(["dltrain.io/operator", "kueue.x-k8s.io/multikueue"]),
)
WORK: Final = st.one_of(
    st.fixed_dictionaries({"pipeline": pipelines("horovod")}, optional={"backend": st.just("horovod")}),
    st.fixed_dictionaries({"pipeline": pipelines("ddp"), "backend": st.just("ddp")}),
    st.fixed_dictionaries({"command": COMMAND}, optional={"backend": st.sampled_from(["horovod", "ddp"])}),
)
STORAGE: Final = st.builds(lambda name: {"claimName": name}, NAMES) | st.fixed_dictionaries(
    {"uri": st.sampled_from(["s3://models", "s3://models/team-a/v1.0", "s3://my.bucket-2/a"])},
    optional={
        "s3": some(
            endpoint=st.sampled_from(["http://10.0.0.1:9000", "https://s3.example.com", "https://s3.example.com/"]),
            region=st.sampled_from(["eu-central-1", "auto"]),
            secretName=NAMES,
            serverSideEncryption=st.just("AES256"),
            partSizeMiB=st.integers(5, 5120),
            finishSeconds=st.integers(1, 86_400),
        )
        | st.just({"serverSideEncryption": "aws:kms", "kmsKeyId": "alias/models"})
    },
)
SPECS: Final = merged(
    WORK,
    some(
        workers=WORKERS,
        scheduling=SCHEDULING,
        checkpoint=some(everySeconds=st.integers(0, 86_400), keep=st.integers(1, 1000)),
        storage=STORAGE,
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
    if way and way[-1] in {"template", "options", "annotations", "labels", "managedFields"}:
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
