"""The evaluation stage: the job's metrics on the test split, of what is shipped."""

from __future__ import annotations

from torch import nn

from dltrain.formatting import metrics_line
from dltrain_trainer.evaluation.families import Measured
from dltrain_trainer.evaluation.measure import measure
from dltrain_trainer.evaluation.predict import predict
from dltrain_trainer.run import Run


def run(run: Run) -> None:
    """Evaluate.

    Raises:
        MetricError: the model has diverged.
    """
    if run.graph is not None:
        from dltrain_trainer.compression.runtime import GraphModel  # noqa: PLC0415 - an extra

        run.measured_unquantized = measured(run, run.artifact.model)
        run.measured = measured(run, GraphModel(run.graph).to(run.device))
    else:
        run.measured = run.measured_unquantized = measured(run, run.artifact.model)
    if run.is_first:
        said = metrics_line(run.measured.metrics)
        run.progress.say(f"{said or 'evaluated'} on the test split")


def measured(run: Run, model: nn.Module) -> Measured:
    """What a model is worth.

    Raises:
        MetricError: it has diverged.
    """
    dataset = run.data.dataset
    predictions = predict(
        model,
        dataset.test.inputs,
        dataset.test.targets,
        run.data.prepare.to(run.device),
        task=dataset.task,
        outputs=dataset.outputs,
        ranks=run.communicator,
    )
    return measure(predictions, run.pipeline.evaluate, run.communicator)
