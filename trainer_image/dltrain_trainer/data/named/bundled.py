"""Small sets that come with scikit-learn and statsmodels."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from dltrain.api.data import Task, Window
from dltrain_trainer.data.readers.parts import Arrays, Parts
from dltrain_trainer.data.readers.windows import windowed
from dltrain_trainer.data.samples import Feature
from dltrain_trainer.errors import DataError

DIGIT_PEAK: Final = 16
"""The largest value of a pixel of digits."""
SUNSPOT_WINDOW: Final = Window(length=44, horizon=11)
"""Four cycles of the sun are seen, one is forecast."""


def digits() -> Parts:
    """8 x 8 images of handwritten digits (Alpaydin and Kaynak 1998), their 17 grays spread over 0..255."""
    found = scikit_learn().load_digits()
    images = np.round(found.images * (255 / DIGIT_PEAK)).astype(np.uint8)
    return Parts({"train": Arrays(images, found.target)}, "classification", classes=words(found.target_names))


def breast_cancer() -> Parts:
    """Measures of cell nuclei, benign or malignant (Wolberg, Street and Mangasarian 1995)."""
    return table(scikit_learn().load_breast_cancer(), "classification")


def wine() -> Parts:
    """Chemical analyses of wines of three cultivars (Aeberhard and Forina 1991)."""
    return table(scikit_learn().load_wine(), "classification")


def diabetes() -> Parts:
    """Progression of diabetes after a year (Efron et al. 2004); the measures as they were taken, not scaled."""
    return table(scikit_learn().load_diabetes(scaled=False), "regression")


def sunspots(window: Window | None) -> Parts:
    """Yearly sunspot numbers from 1700 to 2008; each window's targets are the numbers of the years that follow."""
    try:
        from statsmodels.datasets import sunspots as package  # type: ignore[import-untyped]  # noqa: PLC0415
    except ImportError as error:
        raise DataError("sunspots comes with the library statsmodels; install dltrain[data]") from error
    numbers = package.load().data["SUNACTIVITY"].to_numpy(dtype=np.float64)[:, None]
    years = Parts({"train": Arrays(numbers, numbers)}, "regression", (Feature("sunspots"),))
    return windowed(years, window or SUNSPOT_WINDOW, "sunspots")


def table(found: Any, task: Task) -> Parts:
    """A set of scikit-learn's as rows of named columns."""
    features = tuple(Feature(str(name)) for name in found.feature_names)
    classes = words(found.target_names) if task == "classification" else ()
    return Parts({"train": Arrays(found.data, found.target)}, task, features, classes)


def words(names: Any) -> tuple[str, ...]:
    """The names of classes as text."""
    return tuple(str(name) for name in names)


def scikit_learn() -> Any:
    """The library's data sets.

    Raises:
        DataError: it is missing.
    """
    try:
        from sklearn import datasets  # noqa: PLC0415 - an extra, and slow to import
    except ImportError as error:
        raise DataError("this data set comes with the library scikit-learn; install dltrain[data]") from error
    return datasets
