"""The data pipeline beside torchvision with its DataLoader, and kornia; statistics beside numpy.

One chain for all, on pictures of 3 x 32 x 32 bytes: contrast stretched between two percentiles of the picture, RGB to
YCbCr, normalised, cropped at random from the padded picture, flipped at random.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import kornia
import torch
import torchvision
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from dltrain.api.data import Data
from dltrain_trainer.data.feed import Feed
from dltrain_trainer.data.load import Loaded
from dltrain_trainer.data.maker import BatchMaker, Ready
from dltrain_trainer.data.prepared import PreparedData, prepare_data
from dltrain_trainer.data.sampler import Sampler
from dltrain_trainer.data.samples import Dataset as Samples
from dltrain_trainer.data.samples import Split
from dltrain_trainer.data.team import Alone
from dltrain_trainer.data.transforms.layout import layout_of
from dltrain_trainer.data.transforms.preprocessing import image_bounds
from tests.bench import statistics_program
from tests.bench.figures import Figure, Target, paired, single
from tests.bench.mpi import run_program
from tests.bench.pairs import PAIRS, alternating

PICTURES, SIDE, BATCH, PADDING, WORKERS = 6_000, 32, 128, 4, 2
LOW, HIGH = 0.02, 0.98
CPU: Final = torch.device("cpu")
SETTINGS: Final = {
    "source": "digits",  # not read: the pictures are made here
    "transforms": [
        {"contrastStretch": {"low": 100 * LOW, "high": 100 * HIGH}},
        {"colorSpace": {"to": "ycbcr"}},
        {"normalize": {}},
    ],
    "augment": [{"randomCrop": {"padding": PADDING}}, {"flip": {}}],
}


@dataclass(frozen=True, slots=True)
class Given:
    """The pictures, and the numbers that normalise them."""

    images: Tensor
    """uint8, shape (N, 3, H, W)."""
    prepared: PreparedData
    mean: Tensor
    deviation: Tensor


def prepare() -> Given:
    """Smooth pictures with noise; the statistics are found once, and used by all."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(PICTURES, 3, 8, 8, generator=generator)
    smooth = nn.functional.interpolate(coarse, size=(SIDE, SIDE), mode="bilinear")
    noise = 0.1 * torch.randn(smooth.shape, generator=generator)
    images = ((smooth + noise) * 255).clamp(0, 255).to(torch.uint8)
    split = Split(images, torch.arange(PICTURES) % 10)
    samples = Samples(split, None, Split(images[:10], split.targets[:10]), "classification", 10)
    data = Data.model_validate(SETTINGS)
    prepared = prepare_data(Loaded(samples, layout_of(samples), ()), data, Alone())
    normal = prepared.preprocessing.listed[-1].numbers
    shape = (3, 1, 1)
    mean, scale = (torch.tensor(normal[name]).view(shape) for name in ("offset", "scale"))
    return Given(images, prepared, mean, 1 / scale)


# ---------------------------------------------------------------- ours
def ours(given: Given) -> Iterator[Tensor]:
    """An epoch of a rank that is alone, made by one thread."""
    data = given.prepared
    ready = Ready(data.dataset.train, data.bounds)
    maker = BatchMaker(ready, data.preprocessing, data.plan, outputs=10, seed=0, device=CPU)
    with Feed(maker, Sampler(PICTURES, BATCH, 0), rank=0, size=1, first=0, epochs=1) as feed:
        for batch in feed:
            yield batch.inputs


# ---------------------------------------------------------------- what users would write
def stretched(images: Tensor) -> Tensor:
    """Pictures of 0..1, any number of them, between their percentiles."""
    low, high = torch.quantile(images.flatten(-3), torch.tensor([LOW, HIGH]), dim=-1)
    low, high = (bound[..., None, None, None] for bound in (low, high))
    return ((images - low) / (high - low)).clamp(0, 1)


def ycbcr(image: Tensor) -> Tensor:
    """A picture of 0..1 in the colour space of JPEG (JFIF 1.02): torchvision has no such transform."""
    red, green, blue = image.unbind(-3)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    return torch.stack([luma, (blue - luma) / 1.772 + 0.5, (red - luma) / 1.402 + 0.5], dim=-3)


class Pictures(Dataset[tuple[Tensor, int]]):
    """A data set as torchvision's are: one picture at a time, then the transform."""

    def __init__(self, images: Tensor, transform: Callable[[Tensor], Tensor]) -> None:
        self.images, self.transform = images, transform

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(self.images[index]), index % 10


def torchvision_chain(given: Given, *, random: bool = True) -> v2.Compose:
    """The chain for one picture."""
    changes = [v2.RandomCrop(SIDE, padding=PADDING), v2.RandomHorizontalFlip()] if random else []
    return v2.Compose(
        [
            v2.ToDtype(torch.float32, scale=True),
            v2.Lambda(stretched),  # of the whole picture, as ours
            *changes,
            v2.Lambda(ycbcr),
            v2.Normalize(given.mean.flatten().tolist(), given.deviation.flatten().tolist()),
        ]
    )


def by_torchvision(loader: DataLoader[tuple[Tensor, int]]) -> Iterator[Tensor]:
    """An epoch through a DataLoader whose workers are running already."""
    for images, _ in loader:
        yield images


def by_kornia(given: Given) -> Iterator[Tensor]:
    """An epoch of whole batches on the CPU."""
    changes = nn.Sequential(
        kornia.augmentation.RandomCrop((SIDE, SIDE), padding=PADDING),
        kornia.augmentation.RandomHorizontalFlip(),
    )
    order = torch.randperm(PICTURES)
    with torch.inference_mode():
        for chosen in order.split(BATCH):
            yield kornia_chain(given, changes(stretched(given.images[chosen].float() / 255)))


def kornia_chain(given: Given, images: Tensor) -> Tensor:
    """What follows stretching, cropping and flipping."""
    converted = kornia.color.rgb_to_ycbcr(images)
    return kornia.enhance.normalize(converted, given.mean.flatten(), given.deviation.flatten())


# ---------------------------------------------------------------- measuring
def rate(epoch: Callable[[], Iterator[Tensor]]) -> Callable[[], float]:
    """A run whose value is pictures a second, from the second batch on: starting is not what is measured."""

    def run() -> float:
        batches = epoch()
        first = len(next(batches))
        start = time.perf_counter()
        count = sum(len(batch) for batch in batches)
        assert first + count == PICTURES, "an epoch has every picture once"
        return count / (time.perf_counter() - start)

    return run


def run(given: Given) -> Iterator[Figure]:
    """Equality, throughput beside both peers, then statistics."""
    torch.set_num_threads(1)
    yield from equality(given)
    yield beside_torchvision(given)
    yield beside_kornia(given)
    yield from statistics_figures()


def percentile_seconds(given: Given) -> float:
    """What a job spends once, before its first epoch, so that no epoch sorts pixels."""
    start = time.perf_counter()
    image_bounds(given.prepared.preprocessing, given.images, Alone())
    return time.perf_counter() - start


def beside_torchvision(given: Given) -> Figure:
    """Throughput beside a DataLoader whose workers run all the time."""
    loader = DataLoader(
        Pictures(given.images, torchvision_chain(given)),
        batch_size=BATCH,
        shuffle=True,
        num_workers=WORKERS,
        persistent_workers=True,
    )
    pairs = alternating("beside torchvision", rate(lambda: ours(given)), rate(lambda: by_torchvision(loader)))
    note = (
        f"ours in one thread, each picture's percentiles found once before, in {percentile_seconds(given):.2f} s; "
        f"torchvision {torchvision.__version__} v2 with DataLoader({WORKERS} workers)"
    )
    target = Target(10, ">=", of="ratio")
    return paired("data/beside-torchvision", "pictures/s", pairs.ours, pairs.peers, target=target, note=note)


def beside_kornia(given: Given) -> Figure:
    """Throughput beside whole batches of kornia's."""
    pairs = alternating("beside kornia", rate(lambda: ours(given)), rate(lambda: by_kornia(given)))
    note = f"one process with one thread each; kornia {kornia.__version__}, whole batches"
    target = Target(3, ">=", of="ratio")
    return paired("data/beside-kornia", "pictures/s", pairs.ours, pairs.peers, target=target, note=note)


def equality(given: Given) -> Iterator[Figure]:
    """How far the outputs are apart where chance has no part in them."""
    some = given.images[:256]
    mine = given.prepared.preprocessing(some)
    chain = torchvision_chain(given, random=False)
    theirs = torch.stack([chain(one) for one in some])
    difference = float((mine - theirs).abs().max())
    yield single("data/difference-from-torchvision", "", difference, target=Target(1e-5), note="largest, absolute")
    difference = float((mine - kornia_chain(given, stretched(some.float() / 255))).abs().max())
    note = "largest, absolute; no target: kornia rounds JPEG's coefficients to three digits"
    yield single("data/difference-from-kornia", "", difference, note=note)


def statistics_figures() -> Iterator[Figure]:
    """Principal components of a large table."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "found.json")
        run_program(statistics_program, [str(file), str(PAIRS)], ranks=2, seconds=400)
        found = json.loads(file.read_text())
    print(f"largest relative error of a variance: {found['error']:.2g}", file=sys.stderr)
    size = f"{statistics_program.ROWS:,} x {statistics_program.COLUMNS} floats; one thread a process"
    yield paired(
        "data/pca-one-rank",
        "s",
        found["one"],
        found["numpy"],
        target=Target(1.5, of="ratio"),
        note=f"{size}; peer: numpy's cov and eigh",
    )
    yield paired(
        "data/pca-two-ranks",
        "s",
        found["two"],
        found["one"],
        target=Target(1 / 1.8, of="ratio"),
        note=f"{size}; peer: the same on one rank",
    )
    yield single(
        "data/pca-error", "", found["error"], target=Target(1e-4), note="of the variances, relative, fp32 check"
    )
