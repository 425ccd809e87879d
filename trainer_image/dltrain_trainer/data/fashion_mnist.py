"""Finds Fashion-MNIST on this machine, or fetches it once (Xiao, Rasul and Vollgraf 2017)."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Final

from dltrain_trainer.data.idx import read_bytes
from dltrain_trainer.errors import DataError

ADDRESS: Final = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com"
PACKAGE: Final = "dataset-fashion-mnist"
"""Debian's package of the set."""
PACKAGED: Final = Path("/usr/share/datasets/fashion-mnist")
SHA256: Final = {
    "train-images-idx3-ubyte.gz": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte.gz": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte.gz": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte.gz": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
"""The published files, by their decompressed content: packagers compress anew."""
DOWNLOAD_SECONDS: Final = 120


def locate_fashion_mnist() -> Path:
    """The folder that holds the set: as Debian's package installs it, else in the cache, fetched if need be.

    Raises:
        DataError: it is not here and cannot be fetched.
    """
    cache = Path(os.environ.get("DLTRAIN_CACHE") or Path.home() / ".cache" / "dltrain")
    folder = cache / "datasets" / "fashion-mnist"
    for found in (PACKAGED, folder):
        if complete(found):
            return found
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:  # ranks of one machine: one fetches, the others wait
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not complete(folder):
            fetch(folder)
    return folder


def announce(what: str) -> None:
    """Say what is being fetched, for it takes a while."""
    print(f"fetching {what}", file=sys.stderr, flush=True)  # noqa: T201 - the log of a rank


def call(folder: Path, *command: str) -> None:
    """Run a program in a folder.

    Raises:
        SubprocessError: it failed, or took too long.
    """
    subprocess.run(command, check=True, capture_output=True, cwd=folder, timeout=DOWNLOAD_SECONDS)


def complete(folder: Path) -> bool:
    """Whether a folder holds the four files, packed or not."""
    return all(any((folder / each).exists() for each in (name, name.removesuffix(".gz"))) for name in SHA256)


def fetch(folder: Path) -> None:
    """Fill the cache folder from the first place that has the set; the files are verified before they count.

    Raises:
        DataError: no place has it.
    """
    failures = []
    for fetcher in FETCHERS:
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix="fetching-") as scratch:
            try:
                verified(fetcher(Path(scratch))).rename(folder)
            except (OSError, subprocess.SubprocessError, DataError) as error:
                failures.append(f"{fetcher.__doc__}: {error}")
            else:
                return
    remedy = f"install {PACKAGE}, or put the four files of {ADDRESS} into {folder}"
    raise DataError(f"fashion-mnist is not on this machine and cannot be fetched: {'; '.join(failures)}. {remedy}")


def from_debian(scratch: Path) -> Path:
    """Debian's package."""
    if shutil.which("apt-get") is None:
        raise DataError("this is no Debian system")
    announce(f"{PACKAGE} (31 MB)")
    call(scratch, "apt-get", "download", "-q", "-o", "APT::Sandbox::User=root", PACKAGE)
    call(scratch, "dpkg-deb", "-x", next(scratch.glob("*.deb")).name, "root")
    return scratch / "root" / PACKAGED.relative_to("/")


def from_publisher(scratch: Path) -> Path:
    """The set's own address."""
    folder = scratch / "files"
    folder.mkdir()
    for name in SHA256:
        announce(f"{ADDRESS}/{name}")
        try:
            with urllib.request.urlopen(f"{ADDRESS}/{name}", timeout=DOWNLOAD_SECONDS) as answer:  # noqa: S310 - a constant
                (folder / name).write_bytes(answer.read())
        except urllib.error.URLError as error:
            raise DataError(f"{ADDRESS} cannot be reached: {error.reason}") from error
    return folder


FETCHERS: Final[tuple[Callable[[Path], Path], ...]] = (from_debian, from_publisher)


def verified(folder: Path) -> Path:
    """The folder, if its files are the published ones.

    Raises:
        DataError: a file is missing or another one.
    """
    for name, expected in SHA256.items():
        if not (folder / name).exists():
            raise DataError(f"{name} is missing")
        if hashlib.sha256(read_bytes(folder / name)).hexdigest() != expected:
            raise DataError(f"{name} is not the published file")
    return folder
