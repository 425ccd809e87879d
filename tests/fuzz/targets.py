"""What is fed: each reader with sound inputs to begin from, and the errors that it may answer with."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import io
import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from PIL import Image
from pydantic import ValidationError
from safetensors.torch import save

from dltrain.api.channel import MAX_MESSAGE_BYTES, GroupStatus, Join, Launch, RankExit, RankExited
from dltrain.api.data import Data
from dltrain.api.parse import parse_job
from dltrain.api.progress import Progress
from dltrain.api.report import REPORT, CheckpointReport, ProgressReport
from dltrain.channel import Channel
from dltrain.errors import ChannelError, SpecError
from dltrain_agent.launch import RefusedLineError, program, prted_command
from dltrain_agent.storage.owner import FencedError, Ownership
from dltrain_agent.storage.sender import DamagedError, check_sums
from dltrain_operator.ending import read_account
from dltrain_trainer.checkpoint import Checkpoints
from dltrain_trainer.checkpoint.memory import Memory
from dltrain_trainer.data.idx import read_idx
from dltrain_trainer.data.load import load_data
from dltrain_trainer.data.readers.arrays import read_npz
from dltrain_trainer.data.readers.tables import read_tables
from dltrain_trainer.errors import DataError, TrainerError
from dltrain_trainer.export.artifact import load
from dltrain_trainer.predict import read_samples
from tests.trainer.builders import arrays, state_of


@dataclass(frozen=True)
class Target:
    """One reader."""

    sound: tuple[bytes, ...]
    """Inputs that it takes."""
    feed: Callable[[bytes, Path], object]
    """Hands it an input, with a folder for files; raises what the reader raises."""
    refusals: tuple[type[Exception], ...]
    """How it may refuse."""


# ---------------------------------------------------------------- messages
class Sink:
    """A writer that nobody reads."""

    def get_extra_info(self, _: str) -> Any:
        return None


def on_channel(data: bytes, _: Path) -> None:
    """Everything that comes in over a connection, message by message."""

    async def read() -> None:
        reader = asyncio.StreamReader(limit=MAX_MESSAGE_BYTES)
        reader.feed_data(data)
        reader.feed_eof()
        channel = Channel(reader, Sink())  # type: ignore[arg-type]  # all that a reader needs of it
        while True:
            await channel.receive()

    asyncio.run(read())


def command(data: bytes, _: Path) -> None:
    """A remote start: refused, or prted and nothing else."""
    words = prted_command(data.decode(errors="surrogateescape"))
    assert words[0] == program("prted")


JOIN: Final = Join(index=1, incarnation=2, slots=1, pod="a-1-2", node="n", attempt=3, user_restarts=0)
EXIT: Final = RankExited(attempt=1, exit=RankExit(rank=0, pod="a", node="n", exit_code=1, time=1.0, log=("line",)))
STATUS: Final = GroupStatus(
    state="running", attempt=1, members=(0, 1), progress=Progress(stage="train", step=3, loss=0.5)
)
PRTED: Final = (
    'PRTE_PREFIX=/opt ; export PRTE_PREFIX;/opt/bin/prted --prtemca ess "env" '
    '--prtemca ess_base_nspace "prterun-a-7@0" '
    '--prtemca ess_base_vpid 1 --prtemca ess_base_num_procs "2" --prtemca prte_hnp_uri "prterun-a-7@0.0;tcp://10.0.0.1:1:24"'
)
LAUNCH: Final = Launch(attempt=1, user_restarts=0, line=PRTED)


def line(message: Any) -> bytes:
    return message.model_dump_json(by_alias=True, exclude_none=True).encode() + b"\n"


def owner(data: bytes, _: Path) -> None:
    """What another pod has left in a bucket."""

    class Bucket:
        address = "s3://a"

        def read_json(self, _: str) -> Any:
            try:
                found = json.loads(data)
            except (ValueError, RecursionError):
                return None
            return found if isinstance(found, dict) else None

    Ownership(Bucket(), 2).check()  # type: ignore[arg-type]  # all that it needs of a bucket


# ---------------------------------------------------------------- data
def in_file(name: str, read: Callable[[Path], object]) -> Callable[[bytes, Path], object]:
    """A reader of files, as one of bytes."""

    def feed(data: bytes, folder: Path) -> object:
        (folder / name).write_bytes(data)
        return read(folder / name)

    return feed


def idx(images: bool = True) -> bytes:
    content = np.arange(24, dtype=np.uint8)
    shape = (2, 3, 4) if images else (24,)
    return bytes([0, 0, 8, len(shape)]) + b"".join(size.to_bytes(4, "big") for size in shape) + content.tobytes()


def npz() -> bytes:
    (x_train, y_train), (x_test, y_test) = arrays(7), arrays(5, seed=1)
    data = io.BytesIO()
    np.savez(data, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
    return data.getvalue()


def npy() -> bytes:
    data = io.BytesIO()
    np.save(data, np.zeros((2, 8, 8), np.uint8))
    return data.getvalue()


def parquet() -> bytes:
    import pyarrow as pa  # noqa: PLC0415 - slow
    import pyarrow.parquet as pq  # noqa: PLC0415 - slow

    data = io.BytesIO()
    pq.write_table(pa.table({"a": [1.0, 2.0, None], "b": ["x", "y", "x"], "y": [0, 1, 0]}), data)
    return data.getvalue()


def picture(kind: str, mode: str = "RGB") -> bytes:
    data = io.BytesIO()
    Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3)).convert(mode).save(data, kind)
    return data.getvalue()


CSV: Final = b"a,b,y\n1,x,0\n2.5,y,1\n,x,0\n"


def table(form: str) -> Callable[[Path], object]:
    data = Data.model_validate({"source": "file:///x", "format": form, "target": ["y"], "columns": ["a", "b"]})
    return lambda path: read_tables(path, data)


def pictures(data: bytes, folder: Path) -> None:
    """A folder of images, one of which is what is tried."""
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            (folder / split / name).mkdir(parents=True, exist_ok=True)
            (folder / split / name / "a.png").write_bytes(picture("PNG"))
    (folder / "train" / "cat" / "b.png").write_bytes(data)
    load_data(Data.model_validate({"source": f"file://{folder}", "format": "image-folder"}), tell=lambda _: None)


# ---------------------------------------------------------------- files of our own
SUMS: Final = ("state.safetensors", "state.json")
TRAINING: Final = {"seed": 1}


def state() -> Any:
    return state_of(torch.nn.Linear(2, 2), optimizer={"momentum": 0.9})


def checkpoint_file(name: str) -> Callable[[bytes, Path], object]:
    """A checkpoint of which one file is what is tried, and the manifest agrees with it unless it is that file."""

    def feed(data: bytes, folder: Path) -> None:
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)
        one = Checkpoints(folder / "checkpoints", keep=1, training=TRAINING).save(state())
        (one / name).write_bytes(data)
        if name != "manifest.json":
            sums = {each: hashlib.sha256((one / each).read_bytes()).hexdigest() for each in SUMS}
            (one / "manifest.json").write_text(json.dumps({"version": 1, "files": sums}))
        with suppress(DamagedError):
            check_sums(one)
        Checkpoints(folder / "checkpoints", keep=1, training=TRAINING).load_newest(state())

    return feed


def tensors() -> bytes:
    return save({name: tensor.contiguous() for name, tensor in state().tensors().items()})


def snapshot(data: bytes, folder: Path) -> None:
    """What a process that was killed has left in memory."""
    (folder / "slot-0.safetensors").write_bytes(tensors())
    (folder / "slot-0.json").write_bytes(data)
    (folder / "slot-1.safetensors").write_bytes(data)
    (folder / "slot-1.json").write_text(json.dumps({"training": TRAINING, "sum": 0, "step": 1}))
    Memory(folder, TRAINING).find()


def described(data: bytes, folder: Path) -> None:
    """model.json of an exported model."""
    (folder / "model.safetensors").write_bytes(tensors())
    (folder / "model.json").write_bytes(data)
    load(folder)


MODEL: Final = json.dumps(
    {
        "formatVersion": 2,
        "dltrainVersion": "0.1.0",
        "model": {"name": "linear", "inputShape": [2], "outputs": 2, "channelsLast": True},
        "edits": [],
        "task": "classification",
        "classes": [],
        "preprocessing": [],
    }
).encode()
JOB: Final = b"""apiVersion: dltrain.io/v1alpha1
kind: DLTrainJob
metadata: {name: a}
spec: {pipeline: {data: {source: digits}, model: {name: mlp}}}
"""
TARGETS: Final[dict[str, Target]] = {
    "channel": Target((line(JOIN), line(EXIT) + line(STATUS), line(LAUNCH)), on_channel, (ChannelError,)),
    "report": Target(
        (line(ProgressReport(rank=0, step=1, total=2, loss=0.5)), line(CheckpointReport(rank=0, step=1, path="/a"))),
        lambda data, _: REPORT.validate_json(data),
        (ValidationError,),
    ),
    "prted": Target((PRTED.encode(),), command, (RefusedLineError,)),
    "account": Target((line(STATUS),), lambda data, _: read_account(data.decode(errors="replace")), ()),
    "owner": Target((b'{"incarnation": 1, "state": "ending"}',), owner, (FencedError,)),
    "job": Target((JOB,), lambda data, _: parse_job(data.decode(errors="replace")), (SpecError,)),
    "idx": Target((idx(),), in_file("a", lambda path: read_idx(path, 3)), (DataError,)),
    "idx-gz": Target(
        (gzip.compress(idx(images=False)),), in_file("a.gz", lambda path: read_idx(path, 1)), (DataError,)
    ),
    "npz": Target((npz(),), in_file("a.npz", lambda path: read_npz(path, "classification")), (DataError,)),
    "csv": Target((CSV,), in_file("a.csv", table("csv")), (DataError,)),
    "parquet": Target((parquet(),), in_file("a.parquet", table("parquet")), (DataError,)),
    "image": Target((picture("PNG"), picture("JPEG"), picture("PNG", "L")), pictures, (DataError,)),
    "samples": Target((npy(),), in_file("a.npy", lambda path: read_samples(path, (1, 8, 8))), (DataError,)),
    "manifest": Target(
        (json.dumps({"version": 1, "files": dict.fromkeys(SUMS, "0" * 64)}).encode(),),
        checkpoint_file("manifest.json"),
        (TrainerError,),
    ),
    "state": Target(
        (json.dumps({"step": 3, "training": TRAINING}).encode(),), checkpoint_file("state.json"), (TrainerError,)
    ),
    "tensors": Target((tensors(),), checkpoint_file("state.safetensors"), (TrainerError,)),
    "snapshot": Target((tensors(), b'{"training": {"seed": 1}, "sum": 0, "step": 1}'), snapshot, ()),
    "model": Target((MODEL,), described, (TrainerError,)),
}


def tried(target: Target, data: bytes, folder: Path) -> None:
    """Feed an input; any error but a refusal is a finding."""
    with suppress(*target.refusals):
        target.feed(data, folder)
