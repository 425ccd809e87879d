"""Average precision and ROC-AUC of a million scores, beside scikit-learn: equal, and faster."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import sklearn
from sklearn.metrics import average_precision_score, roc_auc_score

from dltrain_trainer.distributed.single import SingleCommunicator
from dltrain_trainer.evaluation.predict import Predictions
from dltrain_trainer.evaluation.separation import separations
from tests.bench.failure import BenchFailure
from tests.bench.figures import Figure, Target, paired, single
from tests.bench.pairs import alternating, seconds_of

SCORES: Final = 1_000_000
TOLERANCE: Final = 1e-12
FASTER: Final = 5


def prepare() -> Predictions:
    """Scores of two classes, some of them tied, of which a tenth is positive."""
    generator = np.random.default_rng(0)
    targets = (generator.random(SCORES) < 0.1).astype(np.int64)
    scores = generator.normal(targets * 1.0, 1.0)
    tied = generator.random(SCORES) < 0.2
    scores[tied] = scores[tied].round(2)
    return Predictions("classification", np.stack([np.zeros(SCORES), scores], axis=1), targets)


def run(predictions: Predictions) -> Iterator[Figure]:
    """Measure both metrics together, as a job asks for them, and their differences."""
    targets, scores = predictions.targets, predictions.logits[:, 1]

    def peer() -> tuple[float, float]:
        return float(average_precision_score(targets, scores)), float(roc_auc_score(targets, scores))

    def ours() -> tuple[float | None, float | None]:
        (found,) = separations(predictions, SingleCommunicator())
        return found.average_precision, found.roc_auc

    for name, own, other in zip(("average-precision", "roc-auc"), ours(), peer(), strict=True):
        yield difference(name, own, other)
    pairs = alternating("averagePrecision and rocAuc", seconds_of(ours), seconds_of(peer))
    yield paired(
        "metrics/time-of-both",
        "s",
        pairs.ours,
        pairs.peers,
        target=Target(1 / FASTER, of="ratio"),
        note=f"{SCORES:,} scores, one process each; ours includes both curves; scikit-learn {sklearn.__version__}",
    )


def difference(name: str, own: float | None, other: float) -> Figure:
    """How far a metric is from the peer's.

    Raises:
        BenchFailure: too far; how long a wrong answer takes is not worth measuring.
    """
    if own is None or not abs(own - other) <= TOLERANCE:
        raise BenchFailure(f"{name}: is {own!r}, scikit-learn's is {other!r}")
    note = f"absolute; {own!r}, peer {other!r}"
    return single(f"metrics/{name}/difference", "", abs(own - other), target=Target(TOLERANCE), note=note)
