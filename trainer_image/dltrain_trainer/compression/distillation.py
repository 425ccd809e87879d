"""Learning from a teacher's answers (Hinton et al. 2015, "Distilling the Knowledge in a Neural Network")."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from dltrain.api.compress import Distill
from dltrain.api.data import Task
from dltrain_trainer.compression.subject import Inputs, Subject, checked
from dltrain_trainer.models.blueprint import Blueprint
from dltrain_trainer.training.losses import Loss
from dltrain_trainer.training.precision import Casting


def distill(subject: Subject, spec: Distill, inputs: Inputs) -> Subject:
    """A student of the model that the job has trained, or of the step's own teacher, in the subject's place.

    Args:
        subject: the trained model.
        spec: the job's settings.
        inputs: samples and teaching.

    Raises:
        ModelError: the student does not fit the samples.
    """
    taught = subject.blueprint
    blueprint = Blueprint(spec.student, taught.shape, taught.outputs, taught.channels_last)
    student = blueprint.build().to(next(subject.model.parameters()).device)
    inputs.teach(student, spec)
    return inputs.once(partial(checked, Subject(blueprint, (), student), inputs.prepared))


def soft_loss(outputs: Tensor, taught: Tensor, task: Task, temperature: float) -> Tensor:
    """How far a student is from its teacher, as the sum over the samples.

    Classes: T^2 sum over c of -p(taught / T)[c] log softmax(outputs / T)[c], with p the softmax; the factor keeps the
    gradient's size for any T (section 2.1).  Labels: the same with sigmoids, the mean over labels.  Numbers: the
    squared error, the mean over columns; a temperature has no meaning there.

    Args:
        outputs: the student's logits or values, shape (n, K).
        taught: the teacher's.
        task: what the outputs are.
        temperature: T.
    """
    outputs, taught = outputs.float(), taught.float()
    if task == "regression":
        return (outputs - taught).square().mean(1).sum()
    if task == "multilabel":
        target = torch.sigmoid(taught / temperature)
        each = functional.binary_cross_entropy_with_logits(outputs / temperature, target, reduction="none")
        return temperature**2 * each.mean(1).sum()
    target = torch.softmax(taught / temperature, 1)
    return temperature**2 * functional.cross_entropy(outputs / temperature, target, reduction="sum")


class Taught:
    """A loss for the training loop that also asks a teacher about each batch; the student runs through `watched`.

    A loss sees outputs and targets only: the batch that they belong to is noted when the student is called.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - one place makes it
        self, teacher: nn.Module, temperature: float, weight: float, task: Task, loss: Loss, cast: Casting
    ) -> None:
        """The loss.

        Args:
            teacher: on the student's device; put in evaluation mode and never changed.
            temperature: what both models' outputs are divided by.
            weight: how much the teacher's answers count.
            task: what the outputs are.
            loss: for the right answers, as a sum over samples.
            cast: what the teacher's forward pass runs in.
        """
        self.cast = cast
        self.teacher, self.temperature, self.weight = teacher.eval(), temperature, weight
        self.task, self.loss = task, loss
        self._batch: Tensor | None = None

    def watched(self, forward: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        """What runs a student and notes every batch that it gets.

        Not a hook of the student: torch.compile does not see one that comes after it has compiled a like model.

        Args:
            forward: what runs the student, compiled or not.
        """

        def run(batch: Tensor) -> Tensor:
            self._batch = batch.detach()
            return forward(batch)

        return run

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """(1 - w) loss(outputs, targets) + w soft_loss(outputs, teacher(batch))."""
        assert self._batch is not None, "the student runs through watched"
        with torch.no_grad(), self.cast():
            taught = self.teacher(self._batch)
        soft = soft_loss(outputs, taught, self.task, self.temperature)
        return (1 - self.weight) * self.loss(outputs, targets) + self.weight * soft
