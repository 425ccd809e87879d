"""A graph of ONNX Runtime in the place of a model: what is shipped is what is measured."""

from __future__ import annotations

import onnx
import torch
from torch import Tensor, nn

from dltrain_trainer.export.graph import run, session


class GraphModel(nn.Module):
    """Answers as a graph does, which runs on the CPU; it cannot be trained."""

    def __init__(self, graph: onnx.ModelProto | bytes, threads: int = 1) -> None:
        """Load a graph.

        Args:
            graph: takes prepared samples.
            threads: how many work on one batch.

        Raises:
            ExportError: ONNX Runtime cannot run it.
        """
        super().__init__()
        self._runtime = session(graph, threads)
        self.place = nn.Parameter(torch.empty(0), requires_grad=False)
        """Tells where samples have to be."""

    def forward(self, samples: Tensor) -> Tensor:
        """The outputs for prepared samples."""
        return torch.from_numpy(run(self._runtime, samples.cpu().numpy())).to(samples.device)
