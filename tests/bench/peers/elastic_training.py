"""Training with torchrun --max-restarts as its tutorials have it: torch.save every N steps, load it after a restart.

torchrun --nproc-per-node 2 --max-restarts 9 -m tests.bench.peers.elastic_training FOLDER BATCH SAVE_EVERY: each rank
leaves its process id in FOLDER and says of every step that it is done.  The data are random numbers in memory.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from dltrain.pulse import WORKS, Pulse, pulse_file
from tests.bench.peers.ddp_training import cnn


def main(folder: Path, batch: int, save_every: int) -> None:
    """Train until somebody ends this."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    rank, saved = dist.get_rank(), folder / "checkpoint.pt"
    (folder / f"pid-{rank}").write_text(str(os.getpid()))
    pulse = Pulse(pulse_file(folder, rank))
    model = cnn()
    optimizer, step = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9), 0
    if saved.exists():
        state = torch.load(saved)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        step = state["step"]
    parallel, criterion = DistributedDataParallel(model), nn.CrossEntropyLoss()
    inputs, targets = torch.randn(batch // 2, 1, 28, 28), torch.randint(10, (batch // 2,))
    while True:
        optimizer.zero_grad()
        criterion(parallel(inputs), targets).backward()
        optimizer.step()
        step += 1
        pulse.beat(WORKS, step)
        if step % save_every == 0 and rank == 0:
            temporary = folder / "checkpoint.tmp"
            torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step}, temporary)
            temporary.replace(saved)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
