"""How a model is trained: loss, schedule, regularisation, precision."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from dltrain.api.base import Count, Found, Fraction, Rule, SpecModel
from dltrain.api.choices import needed_with, only_with, or_default
from dltrain.api.communication import Communication
from dltrain.api.evaluate import NumericMetric
from dltrain.api.optimizer import Optimizer

DEFAULT_FACTOR: Final = 0.1

StoppingMetric = Literal["loss", NumericMetric]
"""The loss, and every metric of evaluation that is one number."""
Penalty = Annotated[float, Field(ge=0, le=1)]
"""The weight of a penalty."""


class CrossEntropy(SpecModel):
    """The options of the cross entropy."""

    rules = (
        Rule(
            cel="!has(self.classWeights) || !has(self.balanced) || !self.balanced",
            holds=lambda loss: loss.class_weights is None or not loss.balanced,
            message="must be absent when balanced is true; remove one of them",
            at=("classWeights",),
        ),
    )
    label_smoothing: Fraction = 0.0
    """The share of each target that is spread over all classes alike (Szegedy et al. 2015)."""
    class_weights: (
        Annotated[tuple[Annotated[float, Field(ge=0, le=1e6)], ...], Field(min_length=2, max_length=65_536)] | None
    ) = None
    """How much a sample of each class counts, from class 0; the loss is the sum of the weighted losses divided by the
    number of samples, not by the sum of their weights. Default: 1 for all."""
    balanced: bool = False
    """Whether classes count in inverse proportion to their number in the training split, 1 on average."""


class Huber(SpecModel):
    """The options of the Huber loss."""

    delta: Annotated[float, Field(gt=0, le=1e9)] = 1.0
    """Errors up to this count squared, larger ones in proportion (Huber 1964)."""


class Schedule(SpecModel):
    """How the learning rate changes over the training."""

    rules = (
        only_with("milestones", "name", "step"),
        only_with("factor", "name", "step"),
        only_with("final_share", "name", "cosine", "linear"),
        needed_with("milestones", "name", "step"),
    )
    name: Literal["constant", "step", "cosine", "linear"] = "constant"
    """constant; step (falls at milestones); cosine (falls along half a cosine, Loshchilov and Hutter 2017); linear
    (falls in proportion to the steps done)."""
    warmup_epochs: Annotated[float, Field(ge=0, le=1000)] = 0.0
    """Epochs over which the learning rate first rises linearly from zero to its peak."""
    milestones: (
        Annotated[tuple[Annotated[float, Field(gt=0, le=100_000)], ...], Field(min_length=1, max_length=64)] | None
    ) = None
    """The epochs after which step lowers the learning rate; fractions are allowed."""
    factor: Annotated[float, Field(gt=0, lt=1)] | None = None
    """What step multiplies the learning rate by at each milestone. Default: 0.1."""
    final_share: Fraction | None = None
    """The share of the peak at which cosine and linear end. Default: 0."""

    @property
    def fall(self) -> float:
        """What step multiplies the learning rate by, with its default."""
        return float(or_default(self.factor, DEFAULT_FACTOR))

    @property
    def end(self) -> float:
        """The share of the peak at which cosine and linear end, with its default."""
        return float(or_default(self.final_share, 0.0))


class Regularization(SpecModel):
    """What keeps the model from fitting noise. By default biases and normalisation parameters are spared."""

    rules = (
        Rule(
            cel="!has(self.normAndBias) || !self.normAndBias || (has(self.weightDecay) && self.weightDecay > 0.0) || "
            "(has(self.l1) && self.l1 > 0.0) || (has(self.l2) && self.l2 > 0.0)",
            holds=lambda one: not one.norm_and_bias or one.weight_decay > 0 or one.l1 > 0 or one.l2 > 0,
            message="must be false when weightDecay, l1 and l2 are 0; remove it or raise one of them",
            at=("normAndBias",),
        ),
    )
    weight_decay: Penalty = 0.0
    """The optimizer's own decay: w times this is added to the gradient (sgd, adam, lars), or w shrinks by the learning
    rate times this, whatever the gradient is (adamw, lamb)."""
    l1: Penalty = 0.0
    """Adds this times the sum of absolute weights to the loss (Tibshirani 1996)."""
    l2: Penalty = 0.0
    """Adds half of this times the sum of squared weights to the loss (Krogh and Hertz 1992)."""
    norm_and_bias: bool = False
    """Whether biases and normalisation parameters are regularised too; it hurts more often than not
    (Goyal et al. 2017, section 5.3)."""


class Ema(SpecModel):
    """A moving average of the weights, which is then what is evaluated and exported (Polyak and Juditsky 1992)."""

    decay: Annotated[float, Field(gt=0, lt=1)] = 0.999
    """How much of the average each step keeps; less in the first steps: at most (1 + steps) / (10 + steps)."""


class ProgressiveResizing(SpecModel):
    """Images that are small at first, so that the first steps cost less, and whole at the end (Tan and Le 2021).

    Their size rises in a straight line between the first and the last part of the training; evaluation sees whole ones,
    and early stopping looks at no epoch that ends before the last part.
    """

    rules = (
        Rule(
            cel="!has(self.initialShare) || !has(self.finalShare) || self.initialShare + self.finalShare <= 1.0",
            holds=lambda one: one.initial_share + one.final_share <= 1.0,
            message="must be at most 1 together with finalShare; lower one of them",
            at=("initialShare",),
            found=Found("self.initialShare + self.finalShare", lambda one: f"{one.initial_share + one.final_share:g}"),
        ),
    )
    initial_scale: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """The height and width of the first images, as a share of the whole ones'."""
    initial_share: Fraction = 0.3
    """The share of the training's steps that is taken with images of that size."""
    final_share: Annotated[float, Field(gt=0, lt=1)] = 0.3
    """The share of the steps, at the end, that is taken with whole images."""
    increment: Annotated[int, Field(ge=1, le=1024)] = 4
    """Of which number of pixels heights and widths are multiples, rounded down, until the images are whole."""


class EarlyStopping(SpecModel):
    """Ends training when the validation split shows no more progress; needs a validation split."""

    metric: StoppingMetric = "loss"
    """What is looked at after every epoch: the loss, or a metric of the data's task."""
    patience: Annotated[int, Field(ge=1, le=10_000)] = 5
    """After how many epochs without progress training ends."""
    min_delta: Annotated[float, Field(ge=0, le=1e9)] = 0.0
    """How much better than the best so far counts as progress: more than this."""
    keep_best: bool = True
    """Whether the weights of the best epoch are evaluated and exported, instead of the last."""


class Train(SpecModel):
    """How the model is trained. Its result does not depend on how many ranks share the work, beyond rounding."""

    rules = (
        only_with("cross_entropy", "loss", "crossEntropy"),
        only_with("huber", "loss", "huber"),
        Rule(
            cel="!has(self.schedule) || !has(self.schedule.warmupEpochs) || "  # absent in a default: {}
            "self.schedule.warmupEpochs <= double(self.epochs)",
            holds=lambda train: train.schedule.warmup_epochs <= train.epochs,
            message="must not be longer than the training; lower it or raise epochs",
            at=("schedule", "warmupEpochs"),
            found=Found("self.schedule.warmupEpochs", lambda train: f"{train.schedule.warmup_epochs:g}"),
        ),
        Rule(
            cel="!has(self.schedule) || !has(self.schedule.milestones) || "
            "self.schedule.milestones.all(epoch, epoch < double(self.epochs))",
            holds=lambda train: all(epoch < train.epochs for epoch in train.schedule.milestones or ()),
            message="must lie before the end of the training; remove those beyond it or raise epochs",
            at=("schedule", "milestones"),
            found=Found(
                "self.schedule.milestones.filter(epoch, epoch >= double(self.epochs))[0]",
                lambda train: f"{next(epoch for epoch in train.schedule.milestones if epoch >= train.epochs):g}",
            ),
        ),
        Rule(
            cel="!has(self.progressiveResizing) || !has(self.compile) || !self.compile",
            holds=lambda train: train.progressive_resizing is None or not train.compile,
            message="must be absent when compile is true, which compiles anew for every size; remove one of them",
            at=("progressiveResizing",),
            found=Found("'compile true'", lambda _train: "compile true"),
        ),
        Rule(
            cel="!has(self.accumulation) || !has(self.globalBatchSize) || self.globalBatchSize < 1 || "
            "self.accumulation <= self.globalBatchSize",
            holds=lambda train: train.accumulation <= train.global_batch_size,
            message="must be at most globalBatchSize; lower it",
            at=("accumulation",),
            found=Found("self.accumulation", lambda train: f"{train.accumulation}"),
        ),
        Rule(
            cel="!has(self.precision) || self.precision != 'fp16' || !has(self.communication) || "
            "!has(self.communication.compression) || self.communication.compression != 'powerSgd'",
            holds=lambda train: train.precision != "fp16" or train.communication.compression != "powerSgd",
            message="must not be powerSgd when precision is fp16, whose overflows it would remember; "
            "set precision: bf16 or another compression",
            at=("communication", "compression"),
        ),
    )
    epochs: Count = 1
    """How often the training split is passed over."""
    global_batch_size: Annotated[int, Field(ge=1, le=1_048_576)] = 128
    """Samples per optimizer step over all ranks together."""
    accumulation: Annotated[int, Field(ge=1, le=65_536)] = 1
    """In how many passes a rank works through its share of a batch: more need less memory, and change nothing else but
    the batches that batch normalisation sees."""
    loss: Literal["crossEntropy", "bceWithLogits", "mse", "huber"] = "crossEntropy"
    """What is minimised, as a mean over the samples: crossEntropy for classes, bceWithLogits for several labels a
    sample, mse or huber for numbers."""
    cross_entropy: CrossEntropy | None = None
    """The options of crossEntropy."""
    huber: Huber | None = None
    """The options of huber."""
    optimizer: Optimizer = Optimizer()
    """How parameters follow the gradients."""
    schedule: Schedule = Schedule()
    """How the learning rate changes over the training."""
    regularization: Regularization = Regularization()
    """What keeps the model from fitting noise."""
    clip_norm: Annotated[float, Field(gt=0, le=1e9)] | None = None
    """The longest that the gradient of all parameters together may be; a longer one is scaled down
    (Pascanu et al. 2013). Default: no limit."""
    ema: Ema | None = None
    """A moving average of the weights. Default: none."""
    progressive_resizing: ProgressiveResizing | None = None
    """Smaller images at the beginning. For models that take images of any size: the ResNets, cnn with `flatten: mean`,
    many of timm's. Default: none."""
    early_stopping: EarlyStopping | None = None
    """When to end before the last epoch. Default: never."""
    precision: Literal["fp32", "bf16", "fp16", "auto"] = "fp32"
    """The type that most of the arithmetic is done in; weights stay fp32. fp16 scales the loss
    (Micikevicius et al. 2018). auto is bf16 where every rank's processor has it natively, else fp32."""
    channels_last: bool = True
    """Whether images are laid out in memory with the channels last, in which convolutions are faster."""
    compile: bool = False
    """Whether the model is compiled first (torch.compile): some minutes at the start, then faster steps."""
    communication: Communication = Communication()
    """How the ranks share their gradients and statistics."""
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    """Decides initial weights, sample order and every random change; the same seed gives the same run."""

    @property
    def peak_rate(self) -> float:
        """The peak learning rate for the global batch."""
        reference = self.optimizer.reference_batch_size
        return self.optimizer.rate * (self.global_batch_size / reference if reference else 1)
