"""The evaluation stage: the job's metrics on the test split."""

from __future__ import annotations

from dltrain_trainer.evaluation.measure import measure
from dltrain_trainer.evaluation.predict import predict
from dltrain_trainer.run import Run


def run(run: Run) -> None:
    """Evaluate.

    Raises:
        MetricError: the model has diverged.
    """
    dataset, artifact = run.data.dataset, run.artifact
    predictions = predict(
        artifact.model,
        dataset.test.inputs,
        dataset.test.targets,
        run.data.prepare.to(run.device),
        task=dataset.task,
        outputs=dataset.outputs,
        ranks=run.communicator,
    )
    run.measured = measure(predictions, run.pipeline.evaluate, run.communicator)
    if run.is_first:
        said = ", ".join(f"{name} {value:.4f}" for name, value in run.measured.metrics.items())
        run.progress.say(f"{said or 'evaluated'} on the test split")
