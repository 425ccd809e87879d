"""Preprocessing: what a job's transforms make of raw samples, in training and at inference alike."""

from dltrain_trainer.data.transforms.layout import Layout, layout_of
from dltrain_trainer.data.transforms.preprocessing import Preprocessing, fit_preprocessing, image_bounds, preparation

__all__ = ["Layout", "Preprocessing", "fit_preprocessing", "image_bounds", "layout_of", "preparation"]
