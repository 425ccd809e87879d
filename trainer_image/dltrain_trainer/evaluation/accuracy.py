"""Accuracy: the share of samples whose most likely class is the right one."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from dltrain_trainer.data.dataset import Split
from dltrain_trainer.data.preprocess import Preprocessing
from dltrain_trainer.data.sampler import share
from dltrain_trainer.distributed import Communicator

BATCH = 512


def accuracy(model: nn.Module, split: Split, preprocessing: Preprocessing, communicator: Communicator) -> float:
    """The accuracy over all ranks' shares; counted in whole numbers, so it is the same for any number of ranks.

    Args:
        model: in any mode; evaluated in evaluation mode.
        split: the whole split; each rank takes its share.
        preprocessing: what is done to raw samples.
        communicator: the other ranks.
    """
    mine = torch.from_numpy(share(np.arange(len(split)), communicator.rank, communicator.size))
    model.eval()
    right = 0
    with torch.inference_mode():
        for part in torch.split(mine, BATCH):
            predicted = model(preprocessing(split.images[part])).argmax(1)
            right += int((predicted == split.labels[part]).sum())
    all_right, all_samples = communicator.sum_integers([right, len(mine)])
    return all_right / all_samples
