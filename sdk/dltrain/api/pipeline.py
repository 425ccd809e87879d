"""What a job trains: data, model, training, evaluation and export."""

from __future__ import annotations

from typing import Any, Final

from dltrain.api.base import Found, Rule, SpecModel
from dltrain.api.choices import cel_list, listed
from dltrain.api.compress import Compress
from dltrain.api.data import Data, claim_of
from dltrain.api.evaluate import Evaluate
from dltrain.api.export import Export
from dltrain.api.model import Cnn, Model
from dltrain.api.train import Train

GATE: Final = "self.compress.gate.metric"
OF_ONE_SIZE: Final = ("linear", "mlp", "lstm")
"""The models whose weights fit samples of one size, whatever their options are."""
HAS_GATE: Final = "has(self.compress) && has(self.compress.gate) && has(self.compress.gate.metric)"


def is_evaluated(pipeline: Any) -> bool:
    """Whether the metric that a compression is judged by is one that the job evaluates, where it names both."""
    metric = pipeline.compress and pipeline.compress.gate.metric
    return metric is None or pipeline.evaluate.metrics is None or metric in pipeline.evaluate.metrics


def takes_one_size(model: Model) -> bool:
    """Whether a model's weights fit samples of one size, as its options tell."""
    return model.name in OF_ONE_SIZE or (model.name == "cnn" and (model.cnn or Cnn()).flatten != "mean")


class Pipeline(SpecModel):
    """A job made of dltrain's own stages: data, train, compress, evaluate, export."""

    rules = (
        Rule(
            cel=f"!({HAS_GATE} && has(self.evaluate) && has(self.evaluate.metrics)) || {GATE} in self.evaluate.metrics",
            holds=is_evaluated,
            message="must be one of evaluate.metrics; add it there, or gate on another",
            at=("compress", "gate", "metric"),
            found=Found(GATE, lambda pipeline: str(pipeline.compress.gate.metric)),
        ),
        Rule(
            cel="!has(self.train) || !has(self.train.progressiveResizing) || "
            f"!(self.model.name in {cel_list(OF_ONE_SIZE)} || self.model.name == 'cnn' && "
            "!(has(self.model.cnn) && has(self.model.cnn.flatten) && self.model.cnn.flatten == 'mean'))",
            holds=lambda pipeline: pipeline.train.progressive_resizing is None or not takes_one_size(pipeline.model),
            message=f"must be absent for {listed((*OF_ONE_SIZE, 'cnn without flatten: mean'))}, which take samples of "
            "one size; remove it or choose another model, such as resnet18",
            at=("train", "progressiveResizing"),
            found=Found("self.model.name", lambda pipeline: str(pipeline.model.name)),
        ),
    )

    data: Data
    """Where the samples come from and how they are prepared."""
    model: Model
    """The network to train."""
    train: Train = Train()
    """How the model is trained."""
    compress: Compress | None = None
    """How the trained model is made smaller and faster, and what it must still achieve. Default: it stays as it is."""
    evaluate: Evaluate = Evaluate()
    """What is measured on the test split after training."""
    export: Export = Export()
    """In which formats the trained model is written to the storage."""

    @property
    def claims(self) -> tuple[str, ...]:
        """The volume claims that workers must have mounted to read from, each once: of the data and of teachers."""
        steps = self.compress.steps if self.compress else ()
        teachers = (step.distill.teacher for step in steps if step.distill and step.distill.teacher)
        found = (self.data.claim, *map(claim_of, teachers))
        return tuple(dict.fromkeys(claim for claim in found if claim is not None))
