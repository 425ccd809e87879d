"""How a trained model is made smaller and faster, and what it must still achieve."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from dltrain.api.base import Found, Rule, SpecModel, exactly_one_of
from dltrain.api.choices import needed_with, only_with, or_default
from dltrain.api.evaluate import NumericMetric
from dltrain.api.model import Model

FineTuneEpochs = Annotated[int, Field(ge=0, le=10_000)]
Share = Annotated[float, Field(gt=0, lt=1)]
"""A share that is neither nothing nor all: 0 < x < 1."""
TEACHER_PATTERN: Final = (
    r"^(file:///.+|pvc://[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/.+|s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/.+)$"
)
DEFAULT_SAMPLES: Final = 512
DEFAULT_PERCENTILE: Final = 99.99


class Prune(SpecModel):
    """Takes the least important weights away."""

    rules = (
        needed_with("ratio", "method", "channel"),
        needed_with("ratio", "method", "magnitude"),
        only_with("ratio", "method", "channel", "magnitude"),
        only_with("scope", "method", "channel", "magnitude"),
        only_with("importance", "method", "channel"),
        only_with("round_to", "method", "channel"),
    )
    method: Literal["channel", "magnitude", "twoOfFour"] = "channel"
    """channel (whole channels and units are removed, through residual connections; smaller and faster everywhere, Fang
    et al. 2023), magnitude (single weights become 0, Han et al. 2015; no faster, smaller only when packed), twoOfFour
    (two of each four neighbouring weights become 0; NVIDIA GPUs from Ampere on have kernels for it, Mishra et al.
    2021)."""
    ratio: Share | None = None
    """Of channel and magnitude: the share that goes, of each layer's channels or of the weights."""
    scope: Literal["layer", "global"] | None = None
    """Of channel and magnitude: whether each layer loses the same share, or the least important of the whole model go.
    Default: layer."""
    importance: Literal["norm", "firstOrder"] | None = None
    """Of channel: what is kept. norm: channels whose weights, in all layers that depend on them, are large; firstOrder:
    those without which the loss would rise most (Molchanov et al. 2019). Default: norm."""
    round_to: Annotated[int, Field(ge=1, le=64)] | None = None
    """Of channel: what is left is a multiple of this. Default: 1."""
    rounds: Annotated[int, Field(ge=1, le=64)] = 1
    """In how many rounds the ratio is reached, each with its fine-tuning; the share rises steeply at first, then slowly
    (Zhu and Gupta 2017)."""
    fine_tune_epochs: FineTuneEpochs = 0
    """Epochs of training after each round, with the job's own settings."""


class LowRank(SpecModel):
    """Splits linear and convolution layers into two thinner ones, by singular values (Denton et al. 2014)."""

    rules = (exactly_one_of("energy", "share"),)
    energy: Share | None = None
    """As many singular values of each layer as make up this share of the sum of their squares."""
    share: Share | None = None
    """As many singular values as leave at most this share of each layer's weights."""
    layers: Literal["all", "linear", "convolution"] = "all"
    """Which layers. One that would not become smaller stays as it is, and so does the last."""
    fine_tune_epochs: FineTuneEpochs = 0
    """Epochs of training afterwards, with the job's own settings."""


class Quantize(SpecModel):
    """Stores weights, and computes, in fewer bits; what follows runs in ONNX Runtime, so this is the last step."""

    rules = (
        only_with("calibration", "method", "static"),
        only_with("calibration_samples", "method", "static"),
        only_with("max_float_layers", "method", "static"),
        only_with("fine_tune_epochs", "method", "static"),
        only_with("bits", "method", "weightOnly"),
        Rule(
            cel="!has(self.percentile) || (has(self.calibration) && self.calibration == 'percentile')",
            holds=lambda quantize: quantize.percentile is None or quantize.calibration == "percentile",
            message="must be absent unless calibration is percentile; remove it or set calibration: percentile",
            at=("percentile",),
            found=Found("self.percentile", lambda quantize: f"{quantize.percentile:g}"),
        ),
        Rule(
            cel="!has(self.perChannel) || self.method in ['static', 'dynamic']",
            holds=lambda quantize: quantize.per_channel is None or quantize.method in {"static", "dynamic"},
            message="must be absent unless method is static or dynamic; remove it or set method: static",
            at=("perChannel",),
            found=Found("'method ' + self.method", lambda quantize: f"method {quantize.method}"),
        ),
    )
    method: Literal["static", "dynamic", "weightOnly", "fp16", "bf16"] = "static"
    """static (int8 weights and activations, ranges from calibration samples), dynamic (int8 weights, ranges of
    activations found while it runs: linear and lstm layers), weightOnly (weights in 8 or 4 bits, arithmetic in fp32),
    fp16 and bf16 (weights in 16 bits, arithmetic in fp32)."""
    bits: Literal[4, 8] | None = None
    """Of weightOnly: how many bits a weight takes; 4 go with a scale for every 32 weights. Default: 8."""
    calibration: Literal["minmax", "percentile", "entropy"] | None = None
    """Of static: how the range of an activation follows from those seen. Default: minmax."""
    percentile: Annotated[float, Field(gt=50, lt=100)] | None = None
    """Of percentile: the share of values, in percent, that the range holds. Default: 99.99."""
    calibration_samples: Annotated[int, Field(ge=1, le=100_000)] | None = None
    """Of static: how many training samples, drawn by the job's seed. Default: 512."""
    per_channel: bool | None = None
    """Of static and dynamic: whether each output channel has a scale of its own. Default: true."""
    max_float_layers: Annotated[int, Field(ge=0, le=1000)] | None = None
    """Of static: at most so many layers, those whose quantisation hurts most, stay in fp32 where the gate asks for it.
    Default: 3."""
    fine_tune_epochs: Annotated[int, Field(ge=1, le=10_000)] | None = None
    """Of static: epochs of training beforehand in which weights and activations are rounded as they will be (Jacob et
    al. 2018). Default: none."""

    @property
    def samples(self) -> int:
        """How many samples calibrate, with its default."""
        return int(or_default(self.calibration_samples, DEFAULT_SAMPLES))

    @property
    def width(self) -> int:
        """How many bits a weight of weightOnly takes, with its default."""
        return self.bits or 8

    @property
    def by_channel(self) -> bool:
        """Whether each channel has a scale of its own, with its default."""
        return bool(or_default(self.per_channel, default=True))

    @property
    def float_layers(self) -> int:
        """How many layers may stay in fp32, with its default."""
        return int(or_default(self.max_float_layers, 3))


TEMPERATURE: Final = 4.0
TEACHER_WEIGHT: Final = 0.9


class Distill(SpecModel):
    """Trains a student to answer as a teacher does (Hinton et al. 2015); the student then takes the model's place."""

    student: Model
    """The network to train: any of the zoo."""
    teacher: Annotated[str, Field(pattern=TEACHER_PATTERN, max_length=1024)] | None = None
    """The address of an exported model: file://, pvc:// or s3://. Default: the model that the job has trained."""
    epochs: Annotated[int, Field(ge=1, le=100_000)] = 1
    """How often the training split is passed over, with the job's own settings."""
    temperature: Annotated[float, Field(gt=0, le=1000)] = TEMPERATURE
    """What both models' logits are divided by, so that small probabilities count too."""
    weight: Annotated[float, Field(gt=0, le=1)] = TEACHER_WEIGHT
    """How much the teacher's answers count; the right answers count the rest."""


class CompressStep(SpecModel):
    """One step; set exactly one field."""

    rules = (exactly_one_of("prune", "low_rank", "distill", "quantize"),)
    prune: Prune | None = None
    """Take the least important weights away."""
    low_rank: LowRank | None = None
    """Split layers into two thinner ones."""
    distill: Distill | None = None
    """Train a student to answer as a teacher does."""
    quantize: Quantize | None = None
    """Store and compute in fewer bits; last."""

    @property
    def name(self) -> str:
        """The name of the field that is set, as in YAML."""
        return next(iter(self.to_dict()))

    @property
    def chosen(self) -> Prune | LowRank | Distill | Quantize:
        """The step itself."""
        chosen: Prune | LowRank | Distill | Quantize = next(step for _, step in self if step is not None)
        return chosen


class Gate(SpecModel):
    """What a step's result must achieve on the validation split; else it is undone."""

    metric: NumericMetric | None = None
    """What is compared with the trained model. Default: the first metric that the job evaluates."""
    max_drop: Annotated[float, Field(ge=0, le=1e9)] = 0.01
    """How much worse the metric may be, as an absolute difference."""
    min_speedup: Annotated[float, Field(ge=1, le=1000)] = 1.0
    """How many times as fast it must be, batch 8 on one thread; 1: not slower."""
    max_bytes: Annotated[int, Field(ge=1, le=2**53)] | None = None
    """How large its file may be. Default: any size."""


class Compress(SpecModel):
    """The steps that make the trained model smaller and faster, each measured and judged by the gate."""

    rules = (
        Rule(
            cel="self.steps.filter(step, has(step.quantize)).size() == 0 || "
            "(self.steps.filter(step, has(step.quantize)).size() == 1 && "
            "has(self.steps[self.steps.size() - 1].quantize))",
            holds=lambda compress: all(step.quantize is None for step in compress.steps[:-1]),
            message="must have quantize at most once, as the last step; move it to the end and remove others",
            at=("steps",),
            found=Found("'it before another step'", lambda _: "it before another step"),
        ),
        Rule(
            cel="!self.steps.exists(step, has(step.prune) && step.prune.method != 'channel') || "
            "!self.steps.exists(step, has(step.lowRank) || has(step.distill))",
            holds=lambda compress: not undoes_zeros(compress),
            message="must not have lowRank or distill together with a prune of single weights, whose zeros they "
            "would fill; remove one of them",
            at=("steps",),
            found=Found("'both'", lambda _: "both"),
        ),
    )
    steps: Annotated[tuple[CompressStep, ...], Field(min_length=1, max_length=8)]
    """The steps, in order; each goes on from the last result that passed the gate."""
    gate: Gate = Gate()
    """What each step's result must achieve."""
    fine_tune_rate: Annotated[float, Field(gt=0, le=100)] = 0.2
    """The peak learning rate of every fine-tuning, as a share of the job's; it falls by the job's schedule, without
    warm-up. A student learns at the job's own."""
    fine_tune_teacher: bool = False
    """Whether every fine-tuning learns from the answers of the trained model, too, as a student of distill does by
    default. A step then costs the trained model's forward pass more, and regains more."""
    required: bool = False
    """Whether the job fails when a step cannot be done or does not pass the gate. Default: the step is undone, and the
    job goes on."""


def undoes_zeros(compress: Compress) -> bool:
    """Whether single weights are pruned beside a step that fills the zeros again."""
    sparse = any(step.prune and step.prune.method != "channel" for step in compress.steps)
    return sparse and any(step.low_rank or step.distill for step in compress.steps)
