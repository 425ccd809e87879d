"""The optimizers that a job can choose, and their defaults."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from dltrain.api.base import Count, Found, Fraction, Rule, SpecModel
from dltrain.api.choices import only_with, or_default

ADAPTIVE: Final = ("adam", "adamw", "lamb")
"""The optimizers that follow the mean and the mean square of the gradients."""
MOMENTUM: Final = ("sgd", "lars")
"""The optimizers with a momentum."""
DEFAULT_RATES: Final = {"sgd": 0.1, "lars": 1.0, "adam": 0.001, "adamw": 0.001, "lamb": 0.001}
DEFAULT_MOMENTUM: Final = 0.9
DEFAULT_BETA1: Final = 0.9
DEFAULT_BETA2: Final = 0.999
DEFAULT_EPSILON: Final = {"adam": 1e-8, "adamw": 1e-8, "lamb": 1e-6}
DEFAULT_TRUST: Final = 0.001


class Optimizer(SpecModel):
    """How parameters follow the gradients."""

    rules = (
        only_with("momentum", "name", *MOMENTUM),
        only_with("nesterov", "name", "sgd"),
        only_with("trust_coefficient", "name", "lars"),
        only_with("beta1", "name", *ADAPTIVE),
        only_with("beta2", "name", *ADAPTIVE),
        only_with("epsilon", "name", *ADAPTIVE),
        Rule(
            cel="!has(self.nesterov) || !self.nesterov || !has(self.momentum) || self.momentum > 0.0",
            holds=lambda optimizer: not optimizer.nesterov or optimizer.momentum_factor > 0,
            message="must be greater than 0 when nesterov is true; raise it or remove nesterov",
            at=("momentum",),
            found=Found("self.momentum", lambda optimizer: f"{optimizer.momentum:g}"),
        ),
    )
    name: Literal["sgd", "adam", "adamw", "lars", "lamb"] = "sgd"
    """The method: sgd (stochastic gradient descent), adam (Kingma and Ba 2015), adamw (Loshchilov and Hutter 2019), and
    for very large batches lars (You et al. 2017) or lamb (You et al. 2020)."""
    lr: Annotated[float, Field(gt=0, le=1000)] | None = None
    """The peak learning rate. Default: 0.1 with sgd, 1 with lars, 0.001 with adam, adamw and lamb."""
    reference_batch_size: Count | None = None
    """The global batch size that lr is meant for: lr is multiplied by globalBatchSize / referenceBatchSize (the linear
    scaling rule, Goyal et al. 2017). Default: lr is for globalBatchSize as it is."""
    momentum: Fraction | None = None
    """The momentum factor of sgd and lars; 0 switches it off. Default: 0.9."""
    nesterov: bool | None = None
    """Whether sgd looks one momentum step ahead (Nesterov 1983; Sutskever et al. 2013). Default: false."""
    beta1: Fraction | None = None
    """How much of the gradients' mean each step keeps: adam, adamw, lamb. Default: 0.9."""
    beta2: Fraction | None = None
    """How much of the gradients' mean square each step keeps: adam, adamw, lamb. Default: 0.999."""
    epsilon: Annotated[float, Field(gt=0, le=1)] | None = None
    """What keeps adam, adamw and lamb from dividing by zero. Default: 1e-8; 1e-6 with lamb."""
    trust_coefficient: Annotated[float, Field(gt=0, le=1)] | None = None
    """The length of a layer's step in lengths of its weights, with lars. Default: 0.001."""

    @property
    def rate(self) -> float:
        """The peak learning rate as given, with its default."""
        return float(or_default(self.lr, DEFAULT_RATES[self.name]))

    @property
    def momentum_factor(self) -> float:
        """The momentum factor, with its default."""
        return float(or_default(self.momentum, DEFAULT_MOMENTUM))

    @property
    def betas(self) -> tuple[float, float]:
        """How much of the gradients' mean, and mean square, each step keeps, with their defaults."""
        return float(or_default(self.beta1, DEFAULT_BETA1)), float(or_default(self.beta2, DEFAULT_BETA2))

    @property
    def smallest_divisor(self) -> float:
        """What is added to a divisor, with its default."""
        return float(or_default(self.epsilon, DEFAULT_EPSILON[self.name]))

    @property
    def trust(self) -> float:
        """The length of a layer's step in lengths of its weights, with its default."""
        return float(or_default(self.trust_coefficient, DEFAULT_TRUST))
