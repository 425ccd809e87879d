"""Accuracy: the share of samples whose most likely class is the right one."""

from __future__ import annotations

import torch
from torch import nn

from dltrain_trainer.data.dataset import Split
from dltrain_trainer.data.preprocess import Preprocessing
from dltrain_trainer.distributed import Communicator
from dltrain_trainer.distributed.device import device_of

BATCH = 256
"""A sample's logits may be rounded otherwise in another batch: so batches are the same for any number of ranks."""


def accuracy(model: nn.Module, split: Split, preprocessing: Preprocessing, communicator: Communicator) -> float:
    """The accuracy over all ranks; batches do not depend on their number and counts are whole, so nor does the result.

    Args:
        model: in any mode; evaluated in evaluation mode.
        split: the whole split; each rank takes some of its batches.
        preprocessing: what is done to raw samples.
        communicator: the other ranks.
    """
    device = device_of(model)
    model.eval()
    right = 0
    with torch.inference_mode():
        for start in range(communicator.rank * BATCH, len(split), communicator.size * BATCH):
            part = slice(start, start + BATCH)
            predicted = model(preprocessing(split.images[part].to(device))).argmax(1)
            right += int((predicted == split.labels[part].to(device)).sum())
    (all_right,) = communicator.sum_integers([right])
    return all_right / len(split)
