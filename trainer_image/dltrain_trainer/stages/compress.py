"""The compression stage: one step after the other, each measured, judged and kept or undone."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import onnx
import torch

from dltrain.api.compress import Compress, CompressStep, Quantize
from dltrain.api.evaluate import MetricName
from dltrain.api.status import CompressionRow
from dltrain.formatting import metric_text
from dltrain_trainer.compression.awareness import rounding
from dltrain_trainer.compression.calibration import calibration_indices
from dltrain_trainer.compression.course import Course, failure, is_over, judged, refused, step_label
from dltrain_trainer.compression.examination import Answers, Examination
from dltrain_trainer.compression.gate import quality, verdict
from dltrain_trainer.compression.methods import compress
from dltrain_trainer.compression.problems import CompressionError
from dltrain_trainer.compression.quantization import quantize
from dltrain_trainer.compression.sparse import fine_tuned
from dltrain_trainer.compression.store import Product, Store
from dltrain_trainer.compression.subject import Inputs, Subject
from dltrain_trainer.compression.together import led, packed, shared
from dltrain_trainer.errors import FinalError
from dltrain_trainer.evaluation.problems import MetricError
from dltrain_trainer.export.artifact import save
from dltrain_trainer.files import make_folder
from dltrain_trainer.models import ModelError
from dltrain_trainer.run import Run
from dltrain_trainer.stages.checks import followed_metric, row_metrics
from dltrain_trainer.stages.retrain import fine_tuner, teach
from dltrain_trainer.stages.train import loss_of
from dltrain_trainer.training.validation import settings_of

FOLDER: Final = "compression"
ORIGINAL: Final = "original"
"""Of the folder that keeps the trained model, in any case."""
COMPARED_SAMPLES: Final = 64
LEAST_SAMPLES: Final = 512
"""So many training samples, or all, recalibrate batch normalisations and rank channels."""
REFUSALS: Final = (CompressionError, ModelError, MetricError)
"""What keeps a step from being done to a model: raised on every rank alike."""


@dataclass(frozen=True, slots=True)
class Work:
    """What the steps need."""

    run: Run
    settings: Compress
    metric: MetricName
    """What the gate follows."""
    inputs: Inputs
    examination: Examination
    store: Store


def run(run: Run) -> None:
    """Compress the trained model as the job says.

    Raises:
        FinalError: a required compression does not pass; the trained model stays on the storage.
    """
    settings = run.pipeline.compress
    assert settings is not None, "else there is no such stage"
    keep_original(run)
    work = work_of(run, settings)
    course, product = resumed(work) or first(work)
    while not is_over(course, settings):
        course, product = step(work, course, product)
        keep(work, course, product)
    run.rows = course.rows
    if reason := failure(course, settings):
        raise FinalError(f"{reason}; the trained model is in {run.output / FOLDER / ORIGINAL}")
    subject = product.subject
    run.artifact = replace(run.artifact, blueprint=subject.blueprint, edits=subject.edits, model=subject.model)
    run.graph = product.graph


def keep_original(run: Run) -> None:
    """Write the trained model, which whatever follows cannot harm.

    Raises:
        CheckpointError: the storage refuses.
    """
    folder = run.output / FOLDER / ORIGINAL
    if run.is_first:
        make_folder(folder)
        save(run.artifact, folder, {}, run.data.dataset.test.inputs[:COMPARED_SAMPLES])


def work_of(run: Run, settings: Compress) -> Work:
    """What the steps need."""
    pipeline, data, prepare = run.pipeline, run.data, run.data.prepare.to(run.device)
    dataset = data.dataset
    wanted = max(LEAST_SAMPLES, *(step.quantize.samples for step in settings.steps if step.quantize), 0)
    indices = calibration_indices(len(dataset.train), min(wanted, len(dataset.train)), pipeline.train.seed)
    with torch.no_grad():
        prepared = prepare(dataset.train.inputs[indices].to(run.device))
    evaluate = settings_of(pipeline.evaluate, row_metrics(pipeline, dataset.task))
    identity = {
        "compress": settings.to_dict(),
        "model": digest_of(run),
        "train": pipeline.train.to_dict(),
        "evaluate": evaluate.to_dict(),
        "validationSamples": len(dataset.validation or ()),
    }
    return Work(
        run=run,
        settings=settings,
        metric=followed_metric(pipeline, dataset.task),
        inputs=Inputs(
            prepared,
            dataset.train.targets[indices].to(run.device),
            loss_of(run),
            once=lambda make: shared(run.communicator, make, run.device),
            fine_tune=fine_tuner(run, settings),
            teach=lambda student, spec: teach(run, student, spec),
        ),
        examination=Examination(dataset, data.preprocessing, prepare, evaluate, prepared, run.communicator),
        store=Store(run.output / FOLDER, identity),
    )


def digest_of(run: Run) -> str:
    """What tells the trained model from others."""
    return hashlib.sha256(packed(Subject(run.artifact.blueprint, (), run.artifact.model))).hexdigest()


def resumed(work: Work) -> tuple[Course, Product] | None:
    """Where an earlier attempt has stopped, on every rank; None where this is the first."""
    run = work.run
    found = work.store.load() if run.is_first else None
    if not run.communicator.team.first(found is not None):
        return None
    course = Course.from_dict(run.communicator.team.first(found[0].to_dict() if found else {}))
    graph = run.communicator.team.first(found and found[1].graph)
    subject = shared(run.communicator, lambda: on_device(found, run.device), run.device)
    if run.is_first:
        run.progress.say(f"resumed the compression: {course.next_step} of {len(work.settings.steps)} steps are done")
    if not is_over(course, work.settings):
        work.examination.row(ORIGINAL, Product(trained(run)))  # what the others are compared with
    return course, Product(subject, graph)


def on_device(found: tuple[Course, Product] | None, device: torch.device) -> Subject:
    """The subject of what was kept, on a device."""
    assert found is not None, "only rank 0 asks, and it has found something"
    subject = found[1].subject
    return replace(subject, model=subject.model.to(device))


def trained(run: Run) -> Subject:
    """The trained model, before any step."""
    return Subject(run.artifact.blueprint, (), run.artifact.model.eval())


def first(work: Work) -> tuple[Course, Product]:
    """The course before the first step: the trained model is measured.

    Where it cannot be, no step can be judged: all are refused.
    """
    if work.run.is_first:
        work.store.begin()
    product = Product(trained(work.run))
    try:
        course = Course((work.examination.row(ORIGINAL, product),))
    except REFUSALS as error:
        course = Course((CompressionRow(step=ORIGINAL, outcome="original"),))
        for index in range(len(work.settings.steps)):
            course = refused(course, step_label(work.settings, index), str(error))
    keep(work, course, product)
    return course, product


def keep(work: Work, course: Course, product: Product) -> None:
    """Put a step on record, on the first rank."""
    if work.run.is_first:
        work.store.save(course, product)
        work.run.progress.say(told(course.rows[-1], work.metric))


def step(work: Work, course: Course, product: Product) -> tuple[Course, Product]:
    """Do the next step: what it makes takes the place of what it started from only if it passes the gate."""
    label, spec = step_label(work.settings, course.next_step), work.settings.steps[course.next_step]
    try:
        candidate = made(work, product, spec, course.rows[0])
        row = work.examination.row(label, candidate)
    except REFUSALS as error:
        return refused(course, label, str(error)), product
    base = course.rows[course.accepted]
    after = judged(course, row, verdict(row, course.rows[0], base, work.settings.gate, work.metric))
    return after, candidate if after.accepted == len(course.rows) else product


def made(work: Work, product: Product, spec: CompressStep, original: CompressionRow) -> Product:
    """What a step makes of a product, which stays as it is.

    Raises:
        CompressionError: on every rank: it cannot be done.
        ModelError: on every rank: a student does not fit the samples.
        MetricError: on every rank: an attempt at it does not answer with finite numbers.
    """
    if spec.quantize is None:
        return Product(compress(product.subject, spec, work.inputs))
    subject = aware(work, product.subject, spec.quantize)
    return Product(subject, quantized(work, subject, spec.quantize, original))


def aware(work: Work, subject: Subject, spec: Quantize) -> Subject:
    """A subject that was trained to be rounded, where the step asks for it.

    Raises:
        CompressionError: it has no layers that round.
    """
    if not spec.fine_tune_epochs:
        return subject
    subject = subject.copied()
    with rounding(subject.model, work.inputs.prepared, spec):
        fine_tuned(subject, spec.fine_tune_epochs, work.inputs)
    return subject


def quantized(work: Work, subject: Subject, spec: Quantize, original: CompressionRow) -> bytes:
    """The quantised graph of a subject, on every rank.

    Raises:
        CompressionError: it cannot be quantised.
    """
    examination, gate, metric = work.examination, work.settings.gate, work.metric

    def lead(ask: Callable[[bytes], Answers]) -> bytes:
        def acceptable(graph: onnx.ModelProto) -> bool:
            metrics, _ = examination.asked(graph.SerializeToString(), ask)
            return not quality(original.model_copy(update={"metrics": metrics}), original, gate, metric)

        samples = work.inputs.prepared.cpu().numpy()
        result = quantize(examination.graph(Product(subject)), samples, spec, acceptable)
        if result.float_layers:
            work.run.progress.say(f"stay in fp32, for the gate: {', '.join(result.float_layers)}")
        return bytes(result.graph.SerializeToString())

    graph: bytes = led(work.run.communicator, lead, examination.answers)
    return graph


def told(row: CompressionRow, metric: MetricName) -> str:
    """A row as a line of the log."""
    if row.file_bytes is None:
        return f"{row.step}: {row.outcome}{': ' if row.reasons else ''}{'; '.join(row.reasons)}"
    answers = f"{metric} {metric_text(row.metrics[metric])}, agreement {row.agreement or 0:.4f}"
    cost = f"{row.speedup or 0:.2f} times as fast, {row.file_bytes / 1e6:.3g} MB"
    return f"{row.step}: {row.outcome}, {answers}, {cost}{': ' if row.reasons else ''}{'; '.join(row.reasons)}"
