"""`python -m tests.combinations.ranks BACKEND FOLDER...`: one of several ranks, which run the job of each folder."""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path
from typing import Final

import torch

from dltrain.api.parse import parse_job_file
from dltrain_trainer.distributed import Communicator
from dltrain_trainer.distributed.context import connect
from dltrain_trainer.distributed.device import rank_device
from tests.combinations.running import Ending, Stop, ended

JOB: Final = "job.json"
STOP: Final = "stop.json"


def main(backend: str, *folders: str) -> None:
    """Run the jobs; whatever ends one ends this rank, as it does in a pod."""
    torch.set_num_threads(1)
    communicator = connect("ddp" if backend == "ddp" else "horovod")
    rank_device(communicator.local_rank)
    for folder in map(Path, folders):
        said, done = "", False
        try:
            said = run_both(folder, communicator)
            done = not said
        except BaseException:  # noqa: BLE001 - whatever it is, the others must not wait for this rank
            said = traceback.format_exc()
        (folder / f"rank-{communicator.rank}.json").write_text(json.dumps({"done": done, "said": said}))
        if not done:
            os._exit(1)
        communicator.barrier()
    communicator.close()


def run_both(folder: Path, communicator: Communicator) -> str:
    """Run a job, and run it again with a stop; why it was refused, empty where it was not."""
    job = parse_job_file(folder / JOB)
    whole = ended(job, folder / "whole", communicator)
    if whole.refused or not (folder / STOP).exists():
        return whole.refused
    plan = json.loads((folder / STOP).read_text())
    stops = plan["way"] == "killed" or plan["rank"] == communicator.rank
    stop = Stop(plan["step"], plan["way"]) if stops else None
    first = ended(job, folder / "stopped", communicator, stop=stop)
    second: Ending | None = None
    if first.stopped:
        second = ended(job, folder / "stopped", communicator, attempt=2)
    return first.refused or (second.refused if second else "")


if __name__ == "__main__":
    main(*sys.argv[1:])
