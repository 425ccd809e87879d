"""What a model is worth on the validation split, after every epoch."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass

from torch import nn

from dltrain.api.evaluate import Evaluate, MetricName
from dltrain_trainer.data.samples import Dataset, Split
from dltrain_trainer.distributed import Communicator
from dltrain_trainer.evaluation.measure import measure
from dltrain_trainer.evaluation.predict import mean_loss, predict
from dltrain_trainer.evaluation.problems import evaluation_problems
from dltrain_trainer.training.state import TrainingState


@dataclass(frozen=True, slots=True)
class Validation:
    """Measures a model that is being trained, with the weights that would be the result if training ended."""

    dataset: Dataset
    prepare: nn.Module
    evaluate: Evaluate
    """The metrics; `validation_settings` of the job's."""
    communicator: Communicator

    def run(self, state: TrainingState) -> dict[str, float]:
        """The loss and the metrics by name, the same on every rank; nothing without a validation split.

        What early stopping looks at is told to it.
        """
        split = self.dataset.validation
        if split is None:
            return {}
        average = state.learner.average
        with average.lent_to(state.learner.model) if average else nullcontext():
            found = self._measured(state, split)
            if state.patience:
                state.patience.see(found[state.patience.settings.metric], state.step)
        return found

    def _measured(self, state: TrainingState, split: Split) -> dict[str, float]:
        learner, dataset = state.learner, self.dataset
        predictions = predict(
            learner.model,
            split.inputs,
            split.targets,
            self.prepare,
            task=dataset.task,
            outputs=dataset.outputs,
            ranks=self.communicator,
            loss=learner.loss,
        )
        metrics = measure(predictions, self.evaluate, self.communicator).metrics if self.evaluate.metrics else {}
        return {"loss": mean_loss(predictions, self.communicator), **metrics}


def validation_settings(evaluate: Evaluate, wanted: tuple[MetricName, ...], dataset: Dataset) -> Evaluate:
    """What is measured of the validation split: what it has the samples for.

    Args:
        evaluate: the job's settings.
        wanted: the metrics that are numbers.
        dataset: the job's.
    """
    if dataset.validation is None:
        return evaluate
    targets = dataset.validation.targets.numpy()

    def has_value(name: MetricName) -> bool:
        return not evaluation_problems(settings_of(evaluate, (name,)), dataset.task, dataset.outputs, targets)

    return settings_of(evaluate, tuple(name for name in wanted if has_value(name)))


def settings_of(evaluate: Evaluate, metrics: tuple[MetricName, ...]) -> Evaluate:
    """The job's settings with other metrics."""
    return Evaluate.model_construct(metrics=metrics, top_k=evaluate.top_k)
