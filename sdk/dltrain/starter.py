"""The commented job file that `dltrain init` writes, pure."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Final

from dltrain.api.document import dump


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a first job shall be."""

    name: str = "my-job"
    data: str = "fashion-mnist"
    model: str = "cnn"
    workers: int = 1
    gpus: int = 0
    epochs: int = 2
    claim: str = ""
    """The volume claim for checkpoints and the model; none if empty."""
    command: str = ""
    """A program of one's own instead of the pipeline."""


HEAD: Final = """\
# A job of dltrain. Try it here:       dltrain run FILE
# check it:                            dltrain validate FILE
# train on the cluster:                dltrain submit FILE --wait --follow
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
      transforms: [{{normalize: {{}}}}]  # become part of the exported model
      # augment: [{{flip: {{}}}}, {{randomCrop: {{padding: 4}}}}]
    model:
      name: {model}                   # `dltrain models` lists them with their cost
    train:
      epochs: {epochs}
      globalBatchSize: 128          # of all ranks together
      optimizer: {{name: sgd, lr: 0.05, momentum: 0.9}}
      # schedule: {{name: cosine, warmupEpochs: 1}}
"""
COMMAND: Final = """\
  command: {command}   # every rank runs it; dltrain.report(step=..., total=..., loss=...) shows how far it is
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


def starter(wishes: Wishes) -> str:
    """The text of a job file."""
    resources = GPUS.format(gpus=wishes.gpus) if wishes.gpus else CPUS
    head = HEAD.format(name=word(wishes.name), workers=wishes.workers, resources=resources)
    work = PIPELINE.format(data=word(wishes.data), model=word(wishes.model), epochs=wishes.epochs)
    if wishes.command:
        words = ", ".join(word(each) for each in wishes.command.split())
        work = COMMAND.format(command=f"[{words}]")
    return head + work + (STORAGE.format(claim=word(wishes.claim)) if wishes.claim else NO_STORAGE) + TAIL


def word(text: str) -> str:
    """A word as YAML has it, in quotes where it would be read as something else."""
    return text if re.fullmatch(r"[A-Za-z/][\w./:-]*", text) and dump(text).split()[0] == text else json.dumps(text)
