"""Hypothesis strategies of valid training settings: model, optimizer, schedule, regularisation, communication."""

from typing import Any, Final, get_args

from hypothesis import strategies as st

from dltrain.api.evaluate import MetricName
from dltrain.api.model import RESNETS, ActivationName
from dltrain.api.optimizer import ADAPTIVE
from dltrain.api.train import StoppingMetric
from tests.sdk.fields import JSON, TEXT, Mappings, merged, number, some

WIDTHS: Final = st.integers(1, 65_536)
SHARE: Final = number(0, 1, high_included=False)
OPEN_SHARE: Final = number(0, 1, low_included=False, high_included=False)
POSITIVE: Final = number(0, 1, low_included=False)
ACTIVATION: Final = some(activation=st.sampled_from(get_args(ActivationName)))
DROPOUT: Final = some(dropout=SHARE)
OPTIONS: Final = some(options=st.dictionaries(TEXT, JSON, max_size=3))
BLOCKS: Final = st.fixed_dictionaries(
    {"channels": WIDTHS},
    optional={
        "convolutions": st.integers(1, 16),
        "kernel": st.sampled_from(range(1, 16, 2)),
        "normalize": st.booleans(),
        "pool": st.sampled_from(["max", "average", "none"]),
    },
)
CNN: Final = some(
    blocks=st.lists(BLOCKS, min_size=1, max_size=4),
    flatten=st.sampled_from(["all", "mean"]),
    widths=st.lists(WIDTHS, max_size=4),
)


def named(names: list[str] | tuple[str, ...], *parts: Mappings) -> Mappings:
    """Mappings with one of some names, and the fields that go with it."""
    return merged(st.fixed_dictionaries({"name": st.sampled_from(names)}), *parts)


OF_ANY_SIZE: Final = st.one_of(
    named(["cnn"], ACTIVATION, DROPOUT, st.fixed_dictionaries({"cnn": merged(CNN, st.just({"flatten": "mean"}))})),
    named(
        RESNETS,
        ACTIVATION,
        DROPOUT,
        some(
            resnet=some(
                stem=st.sampled_from(["cifar", "imagenet"]),
                width=WIDTHS,
                zeroGamma=st.booleans(),
                stochasticDepth=SHARE,
            )
        ),
    ),
    named(["timm/mobilenetv3_small_100", "my_models:build", "a.b:c"], OPTIONS),
)
"""Networks whose samples may have any size."""
MODELS: Final = st.one_of(
    named(["linear"]),
    named(["mlp"], ACTIVATION, DROPOUT, some(mlp=some(widths=st.lists(WIDTHS, min_size=1, max_size=4)))),
    named(
        ["lstm"],
        DROPOUT,
        some(
            lstm=some(
                hidden=WIDTHS,
                layers=st.integers(1, 16),
                bidirectional=st.booleans(),
                pooling=st.sampled_from(["last", "mean", "attention"]),
            )
        ),
    ),
    named(["cnn"], ACTIVATION, DROPOUT, some(cnn=CNN)),
    OF_ANY_SIZE,
)
"""Networks."""

MOMENTA: Final = some(momentum=SHARE)
OPTIMIZERS: Final = merged(
    st.one_of(
        some(momentum=SHARE),
        merged(named(["sgd"]), MOMENTA, some(nesterov=st.just(False))),
        named(["sgd"], some(momentum=OPEN_SHARE, nesterov=st.booleans())),
        named(["lars"], MOMENTA, some(trustCoefficient=POSITIVE)),
        named(ADAPTIVE, some(beta1=SHARE, beta2=SHARE, epsilon=POSITIVE)),
    ),
    some(lr=number(0, 1000, low_included=False), referenceBatchSize=st.integers(1, 100_000)),
)
REGULARIZATIONS: Final = some(weightDecay=number(0, 1), l1=number(0, 1), l2=number(0, 1)) | merged(
    st.sampled_from(["weightDecay", "l1", "l2"]).flatmap(lambda name: st.fixed_dictionaries({name: POSITIVE})),
    some(normAndBias=st.booleans()),
)
LOSSES: Final = st.one_of(
    some(crossEntropy=some(labelSmoothing=SHARE, balanced=st.booleans())),
    st.fixed_dictionaries(
        {"loss": st.just("crossEntropy")},
        optional={
            "crossEntropy": some(
                labelSmoothing=SHARE,
                balanced=st.just(False),
                classWeights=st.lists(number(0, 1e6), min_size=2, max_size=4),
            )
        },
    ),
    st.fixed_dictionaries({"loss": st.sampled_from(["bceWithLogits", "mse"])}),
    st.fixed_dictionaries(
        {"loss": st.just("huber")}, optional={"huber": some(delta=number(0, 1e9, low_included=False))}
    ),
)
GROWTH: Final = some(
    initialScale=OPEN_SHARE,
    initialShare=number(0, 0.5),
    finalShare=number(0, 0.5, low_included=False),
    increment=st.integers(1, 1024),
)
"""How images grow."""
OTHERS: Final = some(
    clipNorm=number(0, 1e9, low_included=False),
    ema=some(decay=OPEN_SHARE),
    earlyStopping=some(
        metric=st.sampled_from(get_args(StoppingMetric)),
        patience=st.integers(1, 10_000),
        minDelta=number(0, 1e9),
        keepBest=st.booleans(),
    ),
    channelsLast=st.booleans(),
    compile=st.booleans(),
    seed=st.integers(0, 2**31 - 1),
    optimizer=OPTIMIZERS,
    regularization=REGULARIZATIONS,
)
TUNING: Final = some(
    hierarchicalAllreduce=st.booleans(),
    cycleMilliseconds=number(0, 10_000),
    fusionMebibytes=st.integers(0, 65_536),
    cacheCapacity=st.integers(0, 1_048_576),
    ncclStreams=st.integers(1, 16),
)


def growing() -> Mappings:
    """Images that grow, or not, in a training that is not compiled."""
    return st.just({"compile": False}) | some(progressiveResizing=GROWTH).map(lambda one: {"compile": False, **one})


def schedules(epochs: int) -> Mappings:
    """How the learning rate changes over so many epochs."""
    milestones = st.lists(number(0, epochs, low_included=False, high_included=False), min_size=1, max_size=3)
    return merged(
        some(warmupEpochs=number(0, min(epochs, 1000))),
        st.one_of(
            named(["constant"]),
            some(),
            named(["cosine", "linear"], some(finalShare=SHARE)),
            named(["step"], st.fixed_dictionaries({"milestones": milestones}), some(factor=OPEN_SHARE)),
        ),
    )


def communications(backend: str) -> Mappings:
    """How the ranks of a backend share gradients."""
    kinds = ["none", "fp16", *(["bf16"] if backend == "ddp" else [])]
    return merged(
        some(compression=st.sampled_from(kinds))
        | st.fixed_dictionaries(
            {"compression": st.just("powerSgd")}, optional={"powerSgd": some(rank=st.integers(1, 64))}
        ),
        some(bucketMebibytes=number(0, 1024, low_included=False), syncBatchNorm=st.booleans()),
        some(horovod=TUNING) if backend == "horovod" else st.just({}),
    )


@st.composite
def trainings(draw: st.DrawFn, backend: str) -> dict[str, Any]:
    """Training settings of jobs with a backend."""
    length = draw(some(epochs=st.integers(1, 100_000), globalBatchSize=st.integers(1, 1_048_576)))
    most = min(length.get("globalBatchSize", 128), 65_536)
    parts = merged(
        LOSSES,
        OTHERS,
        some(
            accumulation=st.integers(1, most),
            schedule=schedules(length.get("epochs", 1)),
            communication=communications(backend),
        ),
    )
    chosen = {**length, **draw(parts)}
    compression = chosen.get("communication", {}).get("compression")
    halves = ["fp16"] if compression != "powerSgd" else []
    return {**chosen, **draw(some(precision=st.sampled_from(["fp32", "bf16", "auto", *halves])))}


METRICS: Final = st.lists(st.sampled_from(get_args(MetricName)), min_size=1, unique=True)
EVALUATIONS: Final = some(metrics=METRICS) | st.fixed_dictionaries(
    {"metrics": METRICS.map(lambda names: list(dict.fromkeys([*names, "topK"]))), "topK": st.integers(2, 1000)}
)
