"""`python -m dltrain_trainer.warm`: has all imports done, and forks a rank whenever the agent asks for one.

Standard input is a socket to the agent, one message a request (see dltrain_agent/nursery.py).  A rank is forked twice:
its parent ends at once, so that the agent, which adopts orphans, becomes the parent.  It then waits until the agent
knows it.  Nothing here starts MPI, CUDA or a thread: none of them would survive the fork.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import socket
import sys
from typing import Final

import mpi4py

MAX_REQUEST_BYTES: Final = 1024 * 1024
READY: Final = b"ready"
PR_SET_NAME: Final = 15
"""prctl(2): the name that `ps` and `top` show."""
IMPORTS: Final = (
    "mpi4py.MPI",
    "dltrain_trainer.distributed.ddp",
    "dltrain_trainer.distributed.horovod",
    "dltrain_trainer.__main__",
)
"""What a rank imports, whatever its job is; what only some jobs need is left to their ranks."""


def prepare() -> None:
    """Import everything; MPI is started by the ranks."""
    mpi4py.rc.initialize = False
    for name in IMPORTS:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # what is there by now is never garbage: ranks share its memory for longer


def threads() -> int:
    """How many threads this process has."""
    return len(os.listdir("/proc/self/task"))  # noqa: PTH208 - names are counted


def serve(agent: socket.socket) -> None:
    """Fork a rank for each request until the agent is gone; returns in the ranks only."""
    agent.send(READY)
    while True:
        data, descriptors, _, _ = socket.recv_fds(agent, MAX_REQUEST_BYTES, 2)
        if not data:
            sys.exit()
        output, go = descriptors
        if (rank := fork_orphan()) is None:
            agent.close()
            become_rank(json.loads(data), output, go)
            return
        os.close(output)
        os.close(go)
        agent.send(str(rank).encode())


def fork_orphan() -> int | None:
    """Fork a process whose parent has ended, and which leads a session; its id, or None in that process itself.

    Raises:
        OSError: there is no room for another process.
    """
    read, write = os.pipe()
    if (middle := os.fork()) == 0:
        leave_orphan(write)
        os.close(read)
        return None
    os.close(write)
    with os.fdopen(read) as told:
        rank = told.read()
    os.waitpid(middle, 0)
    if not rank:
        raise OSError("cannot fork a rank")
    return int(rank)


def leave_orphan(write: int) -> None:
    """Fork once more and end; returns in the child only, once it has told its id."""
    try:
        if os.fork():
            os._exit(0)
    except OSError:
        os._exit(1)
    os.setsid()
    os.write(write, str(os.getpid()).encode())
    os.close(write)


def become_rank(environment: dict[str, str], output: int, go: int) -> None:
    """Take over a rank's environment and output, as soon as the agent knows of this process; ends if it never does."""
    if not os.read(go, 1):
        os._exit(0)
    silence = os.open(os.devnull, os.O_RDONLY)
    for descriptor, target in ((silence, 0), (output, 1), (output, 2)):
        os.dup2(descriptor, target)
    for descriptor in (silence, output, go):
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(environment)
    ctypes.CDLL(None).prctl(PR_SET_NAME, f"rank {environment.get('DLTRAIN_RANK', '?')}".encode(), 0, 0, 0)


def main() -> None:
    """Wait for requests; in a rank, be `python -m dltrain_trainer`."""
    prepare()
    if threads() > int(os.environ.get("OMP_NUM_THREADS", "1")):  # OpenBLAS has as many, and ends them for a fork
        sys.exit("ranks are started cold: an import has started a thread, which a fork would lose")
    serve(socket.socket(fileno=os.dup(0)))
    from dltrain_trainer.__main__ import main as run_rank  # noqa: PLC0415 - imported long since, by `prepare`

    run_rank()


if __name__ == "__main__":
    main()
