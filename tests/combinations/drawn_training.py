"""Draws spec.pipeline.model, train and evaluate for a source."""

from __future__ import annotations

from typing import Any, Final

from dltrain.api.evaluate import METRICS_OF, NOT_NUMBERS, MetricName
from tests.combinations.luck import Luck
from tests.combinations.sources import Source

Fields = dict[str, Any]
USER: Final = "tests.combinations.own_models"
TIMM: Final = ("test_resnet", "test_efficientnet", "test_convnext", "test_vit", "test_byobnet", "test_efficientnet_ln")
"""timm's smallest."""


# ---------------------------------------------------------------- models
def model_of(luck: Luck, source: Source) -> Fields:
    """A model that mostly takes the samples."""
    families = {
        "images": ["linear", "mlp", "cnn", "cnn", "resnet", "timm", "user", "lstm"],
        "table": ["linear", "mlp", "user"],
    }
    fitting = families.get(source.kind, ["lstm", "lstm", "mlp", "linear", "user"])
    family = luck.one(["linear", "mlp", "cnn", "lstm", "resnet", "timm", "user"] if luck.careless else fitting)
    return MODELS[family](luck)


def common(luck: Luck) -> Fields:
    """Activation and dropout."""
    activations = ["sigmoid", "tanh", "relu", "leakyRelu", "gelu", "silu"]
    return luck.fields(0.3, activation=activations, dropout=[0.2, 0.9])


def mlp(luck: Luck) -> Fields:
    return {"name": "mlp", **common(luck), **luck.fields(mlp=[{"widths": [5]}, {"widths": [9, 1, 4]}])}


def cnn(luck: Luck) -> Fields:
    blocks = [
        {
            "channels": luck.one([1, 4, 32]),
            **luck.fields(0.4, convolutions=[2], kernel=[1, 5, 7], normalize=[True], pool=["max", "average", "none"]),
        }
        for _ in range(luck.whole(1, 3))
    ]
    shape = {"blocks": blocks, "widths": luck.one([[], [6]]), **luck.fields(flatten=["all", "mean"])}
    return {"name": "cnn", **common(luck), "cnn": shape}


def lstm(luck: Luck) -> Fields:
    shape = luck.fields(hidden=[3, 8], layers=[2, 3], bidirectional=[True], pooling=["last", "mean", "attention"])
    return {"name": "lstm", **luck.fields(dropout=[0.3]), "lstm": {"hidden": 6, **shape}}


def resnet(luck: Luck) -> Fields:
    options = luck.fields(stem=["cifar", "imagenet"], zeroGamma=[False], stochasticDepth=[0.3])
    name = luck.one(["resnet18", "resnet18", "resnet50"])
    return {"name": name, **common(luck), "resnet": {"width": luck.one([2, 4, 8]), **options}}


def timm(luck: Luck) -> Fields:
    return {"name": f"timm/{luck.one(TIMM)}", **luck.fields(0.3, options=[{"drop_rate": 0.2}, {"drop_path_rate": 0.2}])}


def user(luck: Luck) -> Fields:
    return {"name": f"{USER}:{luck.one(['rows', 'normed', 'tied', 'frozen'])}"}


MODELS: Final = {
    "linear": lambda _: {"name": "linear"},
    "mlp": mlp,
    "cnn": cnn,
    "lstm": lstm,
    "resnet": resnet,
    "timm": timm,
    "user": user,
}


# ---------------------------------------------------------------- training
LOSSES: Final = {
    "classification": ["crossEntropy"],
    "multilabel": ["bceWithLogits"],
    "regression": ["mse", "huber"],
}


def training(luck: Luck, source: Source, backend: str) -> Fields:
    """Training settings."""
    epochs = luck.whole(1, 3)
    train: Fields = {
        "epochs": epochs,
        "globalBatchSize": luck.one([2, 5, 7, 8, 11]) if luck.happens(0.3) else luck.one([8, 12]),
        **loss(luck, source),
        "optimizer": optimizer(luck),
        **luck.fields(0.3, accumulation=[2, 3], clipNorm=[0.01, 1.0, 1e6], channelsLast=[False]),
        **luck.fields(0.3, ema=[{"decay": 0.5}, {"decay": 0.999}, {}]),
        **luck.fields(precision=["fp32", "bf16", "fp16", "auto"]),
        "seed": luck.one([0, 3, 2**31 - 1]),
    }
    if luck.happens(0.5):
        train["schedule"] = schedule(luck, epochs)
    if luck.happens(0.3):
        train["regularization"] = luck.fields(weightDecay=[0.01], l1=[1e-4], l2=[1e-3], normAndBias=[True])
    if luck.happens(0.3):
        train["earlyStopping"] = stopping(luck, source)
    if source.kind == "images" and luck.happens(0.25):
        train["progressiveResizing"] = luck.fields(
            initialScale=[0.3, 0.7], initialShare=[0.0, 0.5], finalShare=[0.2, 0.5], increment=[1, 4, 64]
        )
    if luck.happens(0.6):
        train["communication"] = communication(luck, backend)
    if luck.happens(0.003):
        train["compile"] = True
    return train


def loss(luck: Luck, source: Source) -> Fields:
    """A loss for the task."""
    task = luck.one(list(LOSSES)) if luck.careless else source.task
    name = luck.one(LOSSES[task])
    options: Fields = {}
    if name == "crossEntropy" and luck.happens(0.5):
        weights: list[Fields] = [
            {"balanced": True},
            {"classWeights": [float(each) for each in range(source.outputs)]},
            {},
        ]
        options = {"crossEntropy": {**luck.one(weights), **luck.fields(labelSmoothing=[0.1])}}
    if name == "huber":
        options = luck.fields(huber=[{"delta": 0.1}, {}])
    return {"loss": name, **options}


def optimizer(luck: Luck) -> Fields:
    """An optimizer with a low rate."""
    name = luck.one(["sgd", "adam", "adamw", "lars", "lamb"])
    own = {
        "sgd": luck.fields(momentum=[0.0, 0.5], nesterov=[True, False]),
        "lars": luck.fields(momentum=[0.0, 0.5], trustCoefficient=[0.01]),
    }
    fields = own.get(name, luck.fields(0.3, beta1=[0.0, 0.5], beta2=[0.9], epsilon=[1e-3]))
    return {"name": name, "lr": 0.001, **fields, **luck.fields(0.2, referenceBatchSize=[4, 256])}


def schedule(luck: Luck, epochs: int) -> Fields:
    """A schedule that fits the training."""
    name = luck.one(["constant", "step", "cosine", "linear"])
    fields = luck.fields(warmupEpochs=[0.3, 1])
    if name == "step":
        fields |= {"milestones": luck.one([[0.4], [0.5, epochs - 0.2]]), **luck.fields(factor=[0.5])}
    if name in {"cosine", "linear"}:
        fields |= luck.fields(finalShare=[0.1])
    return {"name": name, **fields}


def stopping(luck: Luck, source: Source) -> Fields:
    """Early stopping by a metric of the task."""
    names = ["loss", *(name for name in METRICS_OF[metrics_task(luck, source)] if name not in NOT_NUMBERS)]
    return luck.fields(metric=names, patience=[1, 2], minDelta=[0.0, 10.0], keepBest=[True, False])


def metrics_task(luck: Luck, source: Source) -> Any:
    """The task that metrics are drawn for."""
    return luck.one(list(METRICS_OF)) if luck.careless else source.task


def communication(luck: Luck, backend: str) -> Fields:
    """How gradients travel."""
    fields = luck.fields(bucketMebibytes=[0.0001, 0.01, 1], syncBatchNorm=[True])
    kinds = ["none", "fp16", "powerSgd", *(["bf16"] if backend == "ddp" or luck.careless else [])]
    fields |= luck.fields(compression=kinds)
    if fields.get("compression") == "powerSgd":
        fields |= luck.fields(powerSgd=[{"rank": 1}, {"rank": 5}])
    if backend == "horovod" and luck.happens(0.2):
        fields["horovod"] = luck.fields(cycleMilliseconds=[0.1], fusionMebibytes=[0, 1], cacheCapacity=[0])
    return fields


def evaluation(luck: Luck, source: Source) -> Fields:
    """What is measured."""
    known: list[MetricName] = list(METRICS_OF[metrics_task(luck, source)])
    metrics = luck.some(known, least=1)
    return {"metrics": metrics, **(luck.fields(topK=[2, 4]) if "topK" in metrics else {})}
