"""Finds Fashion-MNIST on this machine, or fetches it once (Xiao, Rasul and Vollgraf 2017)."""

from __future__ import annotations

import fcntl
import http.client
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Final

from dltrain_trainer.data.idx import has_sha256, read_bytes
from dltrain_trainer.errors import DataError

ADDRESS: Final = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com"
PACKAGE: Final = "dataset-fashion-mnist"
"""Debian's package of the set."""
PACKAGED: Final = Path("/usr/share/datasets/fashion-mnist")
SHA256: Final = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
"""The published files, by their decompressed content: packagers compress anew, and MNIST's have the same names."""
DOWNLOAD_SECONDS: Final = 120
"""The longest that fetching from one place may take."""
SILENCE_SECONDS: Final = 20
"""The longest that a place may be silent."""
CHUNK_BYTES: Final = 1 << 20


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
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with folder.with_suffix(".lock").open("w") as lock:  # ranks of one machine: one fetches, the others wait
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not complete(folder):
                fetch(folder)
    except OSError as error:
        raise DataError(f"cannot write {folder} ({error.strerror}); set DLTRAIN_CACHE to a folder that can") from error
    return folder


def complete(folder: Path) -> bool:
    """Whether a folder holds the four files, packed or not."""
    return all((folder / name).exists() or (folder / f"{name}.gz").exists() for name in SHA256)


def fetch(folder: Path) -> None:
    """Fill the cache folder from the first place that has the set; the files are verified before they count.

    Raises:
        DataError: no place has it.
        OSError: the folder cannot be written.
    """
    failures = []
    for place, fetcher in PLACES.items():
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix="fetching-") as scratch:
            try:
                fetched = verified(fetcher(Path(scratch)))
            except (OSError, http.client.HTTPException, subprocess.TimeoutExpired, DataError) as error:
                failures.append(f"{place}: {error}")
            else:
                for file in fetched:
                    file.replace(folder / file.name)
                return
    remedy = f"install {PACKAGE}, or put the four files of {ADDRESS} into {folder}"
    raise DataError(f"fashion-mnist is not on this machine and cannot be fetched: {'; '.join(failures)}. {remedy}")


def from_debian(scratch: Path) -> Path:
    """Fetch and unpack Debian's package; the folder with the files."""
    if shutil.which("apt-get") is None:
        raise DataError("this is no Debian system")
    announce(f"{PACKAGE} (31 MB)")
    patience = ("-o", f"Acquire::http::Timeout={SILENCE_SECONDS}", "-o", "Acquire::Retries=1")
    call(scratch, "apt-get", "download", "-q", *patience, "-o", "APT::Sandbox::User=root", PACKAGE)
    call(scratch, "dpkg-deb", "-x", next(scratch.glob("*.deb")).name, "root")
    return scratch / "root" / PACKAGED.relative_to("/")


def from_publisher(scratch: Path) -> Path:
    """Fetch the files from the set's own address; the folder with them."""
    deadline = time.monotonic() + DOWNLOAD_SECONDS
    for name in SHA256:
        address = f"{ADDRESS}/{name}.gz"
        announce(address)
        try:
            download(address, scratch / f"{name}.gz", deadline)
        except urllib.error.URLError as error:
            raise DataError(f"{address} cannot be had: {error.reason}") from error
    return scratch


PLACES: Final[dict[str, Callable[[Path], Path]]] = {"Debian": from_debian, "the publisher": from_publisher}
"""Where the set is to be had, the best place first; each function fills a scratch folder."""


def announce(what: str) -> None:
    """Say what is being fetched, for it takes a while."""
    print(f"fetching {what}", file=sys.stderr, flush=True)  # noqa: T201 - the log of a rank


def call(folder: Path, *command: str) -> None:
    """Run a program in a folder.

    Raises:
        DataError: it failed.
        TimeoutExpired: it took too long.
    """
    done = subprocess.run(
        command, cwd=folder, timeout=DOWNLOAD_SECONDS, capture_output=True, text=True, errors="replace", check=False
    )
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()] or [f"exit code {done.returncode}"]
        raise DataError(f"{command[0]} failed: {said[-1].strip()}")


def download(address: str, file: Path, deadline: float) -> None:
    """Fetch one file; `deadline` is a time of the monotonic clock.

    Raises:
        OSError: the address cannot be reached, or took too long.
    """
    with urllib.request.urlopen(address, timeout=SILENCE_SECONDS) as answer, file.open("wb") as written:  # noqa: S310 - ours
        while chunk := answer.read(CHUNK_BYTES):
            written.write(chunk)
            if time.monotonic() > deadline:
                raise TimeoutError(f"{address} took longer than {DOWNLOAD_SECONDS} seconds")


def verified(folder: Path) -> list[Path]:
    """The four files, packed, if they are the published ones.

    Raises:
        DataError: one is missing or another one.
    """
    files = [folder / f"{name}.gz" for name in SHA256]
    for file, expected in zip(files, SHA256.values(), strict=True):
        if not has_sha256(read_bytes(file), expected):
            raise DataError(f"{file.name} is not the published file")
    return files
