"""The commented job file that `dltrain init` writes, pure."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Final

import yaml

from dltrain.api.data import TABLES
from dltrain.api.document import JobDumper, dump
from dltrain.errors import Problem, SpecError

FORMATS: Final = {".csv": "csv", ".parquet": "parquet", ".npz": "npz"}
"""The end of an address -> the format of what is there."""
NAMED_ROWS: Final = ("breast-cancer", "diabetes", "sunspots", "wine")
"""The named sets that have no images."""
NAMED_NUMBERS: Final = ("diabetes", "sunspots")
"""The named sets whose targets are numbers; those of the others are classes."""
TASK_IS_SAID: Final = ("npz", *TABLES)
"""The formats that do not tell the task by themselves."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a first job shall be."""

    name: str = "my-job"
    data: str = "fashion-mnist"
    format: str = ""
    """Of what is at an address; by its end if empty."""
    target: str = ""
    """The columns of a table to predict, with commas between them."""
    task: str = ""
    """What is learnt of npz, csv and parquet; classes if empty. Other data knows it."""
    model: str = ""
    """One that takes the data if empty."""
    workers: int = 1
    gpus: int = 0
    epochs: int = 2
    claim: str = ""
    """The volume claim for checkpoints and the model; none if empty."""
    command: str = ""
    """A program of one's own instead of the pipeline, as a shell's line without a shell's syntax."""

    @property
    def has_address(self) -> bool:
        """Whether the data is no named set."""
        return "://" in self.data

    @property
    def has_table(self) -> bool:
        """Whether the data has rows of named columns."""
        return self.format in TABLES


@dataclass(frozen=True, slots=True)
class Method:
    """How a task is learnt and measured, in words of YAML."""

    loss: str
    metrics: str
    optimizer: str = "{name: sgd, lr: 0.05, momentum: 0.9}"


METHODS: Final[Mapping[str, Method]] = {
    "classification": Method("crossEntropy", "accuracy"),
    "multilabel": Method("bceWithLogits", "averagePrecision, rocAuc"),
    # Targets keep their scale, on which no rate of sgd fits all; the steps of adam are as long on any.
    "regression": Method("mse", "mse, r2", "{name: adam, lr: 0.01}"),
}
"""Task -> what goes with it."""
HEAD: Final = """\
# A job of dltrain. Try it here:       dltrain run {file}
# check it:                            dltrain validate {file}
# train on the cluster:                dltrain submit {file} --wait --follow
# Every field: docs/reference/job.md
apiVersion: dltrain.io/v1alpha1
kind: DLTrainJob
metadata:
  name: {name}
spec:
  workers:
    replicas: {workers}                  # pods; all ranks together share a batch, whatever their number
{resources}"""
GPUS: Final = """\
    resources:
      limits: {{nvidia.com/gpu: {gpus}}}   # one rank a GPU
"""
CPUS: Final = """\
    resources:
      limits: {cpu: 2, memory: 4Gi}  # of each pod; one rank a pod without GPUs
"""
PIPELINE: Final = """\
  pipeline:
    data:
      source: {data}       # a named set, or file://, pvc://, s3:// (docs/data.md)
{details}      transforms: [{transforms}]  # become part of the exported model
{hint}    model:
      name: {model}                   # `dltrain models` lists them with their cost
    train:
      epochs: {epochs}
      globalBatchSize: 128          # of all ranks together
      loss: {method.loss}
      optimizer: {method.optimizer}
      # schedule: {{name: cosine, warmupEpochs: 1}}
    evaluate: {{metrics: [{method.metrics}]}}
"""
NORMALIZED: Final = "{normalize: {}}"
RESIZED: Final = f"{{resize: {{height: 64, width: 64}}}}, {NORMALIZED}"  # pictures of a folder must be of one size
FORMAT: Final = """\
      format: {format}
"""
TARGET: Final = """\
      target: [{target}]              # the columns to predict
"""
TASK: Final = """\
      task: {task}
"""
NO_TASK: Final = """\
      # task: regression            # of numbers, with `loss: mse` and metrics [mse, r2] below
"""
OF_TABLES: Final = """\
      # columns: [a, b]             # to learn from; without it, all others
"""
OF_IMAGES: Final = """\
      # augment: [{flip: {}}, {randomCrop: {padding: 4}}]
"""
COMMAND: Final = """\
  command: [{command}]   # every rank runs it; dltrain.report(step=..., total=..., loss=...) shows how far it is
"""
STORAGE: Final = """\
  storage:
    claimName: {claim}              # a volume claim for checkpoints and the model; ReadWriteMany on several nodes
"""
NO_STORAGE: Final = """\
  # storage: {claimName: models}    # without it, checkpoints and the model are lost with the first pod
"""
TAIL: Final = """\
  runPolicy:
    backoffLimit: 3                # restarts after errors of the ranks; lost pods do not count
    # activeDeadlineSeconds: 86400
    # ttlSecondsAfterFinished: 604800
"""


def starter(wishes: Wishes, file: str = "job.yaml") -> str:
    """The text of a job file.

    Args:
        wishes: what it shall be.
        file: where it will be.

    Raises:
        SpecError: the command cannot be divided into words.
    """
    resources = GPUS.format(gpus=wishes.gpus) if wishes.gpus else CPUS
    head = HEAD.format(file=shlex.quote(file), name=word(wishes.name), workers=wishes.workers, resources=resources)
    work = COMMAND.format(command=words(command_of(wishes))) if wishes.command else pipeline(wishes)
    return head + work + (STORAGE.format(claim=word(wishes.claim)) if wishes.claim else NO_STORAGE) + TAIL


def completed(wishes: Wishes) -> Wishes:
    """The wishes with what follows from the data unless it is wished: its format, its task, a model that takes it."""
    guessed = FORMATS.get(PurePosixPath(wishes.data).suffix.lower(), "") if wishes.has_address else ""
    known = replace(wishes, format=wishes.format or guessed)
    task = "regression" if known.data in NAMED_NUMBERS else "classification"
    fitting = "mlp" if known.has_table or known.data in NAMED_ROWS else "cnn"
    return replace(known, task=wishes.task or task, model=wishes.model or fitting)


def pipeline(wishes: Wishes) -> str:
    """The part of a job file that has dltrain's own pipeline."""
    known = completed(wishes)
    return PIPELINE.format(
        data=word(known.data),
        details=details(known, wishes.task),
        transforms=RESIZED if known.format == "image-folder" else NORMALIZED,
        hint=hint(known, wishes.task),
        model=word(known.model),
        epochs=known.epochs,
        method=METHODS.get(known.task, METHODS["classification"]),  # another task is told of as no task
    )


def details(known: Wishes, task: str) -> str:
    """What is said of data beside its source.

    Args:
        known: the wishes, completed.
        task: the one that is wished; empty if none is.
    """
    text = FORMAT.format(format=word(known.format)) if known.format else ""
    if known.target:
        text += TARGET.format(target=words([each.strip() for each in known.target.split(",")]))
    return text + (TASK.format(task=word(task)) if task else "")


def hint(known: Wishes, task: str) -> str:
    """What more could be said of data, as a comment; of the same."""
    if known.has_table:
        return OF_TABLES if task else NO_TASK + OF_TABLES
    return "" if known.data in NAMED_ROWS else OF_IMAGES


def command_of(wishes: Wishes) -> list[str]:
    """The words of the command, divided as a shell does it.

    Raises:
        SpecError: a quote is not closed, or a backslash has nothing behind it.
    """
    try:
        return shlex.split(wishes.command)
    except ValueError as error:
        rule = f"is no line that a shell understands: {error}"
        raise SpecError(
            [Problem("spec.command", rule, wishes.command[:60], "correct quotes and backslashes")]
        ) from error


def words(found: Sequence[str]) -> str:
    """Words as a list of YAML has them."""
    return ", ".join(word(each) for each in found)


def word(text: str) -> str:
    """A word as YAML has it, in quotes where it would be read as something else."""
    if re.fullmatch(r"[A-Za-z/][\w./:-]*", text) and dump(text).split()[0] == text:
        return text
    quoted: str = yaml.dump(text, Dumper=JobDumper, default_style='"', allow_unicode=True, width=math.inf)
    return quoted.rstrip("\n")
