"""What each rank of test_mpi.py runs: measures a shuffled share, and rank 0 writes the artefacts to a folder."""

from __future__ import annotations

import sys
from pathlib import Path

from dltrain.api.evaluate import Evaluate, metrics_for
from dltrain_trainer.distributed.mpi import MpiRanks
from dltrain_trainer.evaluation.measure import artefacts, measure
from tests.trainer.metrics.builders import of_task
from tests.trainer.metrics.shares import shuffled_shares


def main(folder: Path) -> None:
    ranks = MpiRanks()
    for task in ("classification", "multilabel", "regression"):
        share = shuffled_shares(of_task(task, 3000), ranks.size, seed=ranks.size)[ranks.rank]
        measured = measure(share, Evaluate(metrics=metrics_for(task)), ranks)
        if ranks.rank == 0:
            for name, content in artefacts(measured).items():
                (folder / f"{task}-{name}").write_bytes(content)


main(Path(sys.argv[1]))
