"""Builds the project's images into the store with BuildKit, from a Debian base made on this machine."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from trainer_image.horovod_wheel import find_wheel, wheel_folder

from tests.cluster.archives import oci_layout
from tests.cluster.build import PAUSE_IMAGE
from tests.cluster.cluster import Cluster
from tests.cluster.host import ClusterFailure, call, timed
from tests.cluster.layers import digest_in, layers_of
from tests.cluster.store import Store

ROOT: Final = Path(__file__).resolve().parents[2]
RELEASE: Final = "bookworm"


@dataclass(frozen=True)
class Image:
    """An image of the project."""

    name: str
    dockerfile: str
    sources: tuple[str, ...]
    """What it is made of; a change of these makes it anew."""
    base: str = ""
    """The image in the store that it is built upon; by default the Debian base."""


VERSION: Final = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
COMMON: Final = ("pyproject.toml", "uv.lock", "README.md", "LICENSE", ".dockerignore", "sdk")
OPERATOR: Final = Image(
    f"docker.io/dltrain/operator:{VERSION}", "operator/Dockerfile", (*COMMON, "operator", "trainer_image")
)
TRAINER: Final = Image(
    f"docker.io/dltrain/trainer:{VERSION}", "trainer_image/Dockerfile", (*COMMON, "operator", "trainer_image")
)


def build_images(cluster: Cluster, images: Sequence[Image] = (OPERATOR, TRAINER)) -> None:
    """Build the images whose sources have changed, in this order; they reach nodes at the next `up`."""
    state, store = cluster.state, cluster.store
    stale = [image for image in images if not is_current(store, image)]
    if not stale:
        print("images: up to date")
        return
    base = base_layout(state)
    with store.running() as machine:
        machine.ctr("images", "import", state / "bin" / "pause.tar")
        socket = store.start_buildkit(machine)
        for image in stale:
            fingerprint = content_hash(image.sources)
            timed(image.name, lambda: build(state, image, base, socket))  # noqa: B023
            stamp(store, image).write_text(fingerprint)
            print(*layers_of(store.blobs, digest_in(build_log(state, image).read_text())), sep="\n")
        if not cluster.nodes:  # they use the store's files
            timed("what no image needs", lambda: store.collect(machine, socket))
        print(machine.ctr("images", "list", f"name!={PAUSE_IMAGE}"), end="")


def missing_images(state: Path) -> str | None:
    """What has to be done before a cluster has the images of the sources as they are; None if nothing has."""
    store = Store(state)
    stale = [image.name for image in (OPERATOR, TRAINER) if not is_current(store, image)]
    return f"{', '.join(stale)} must be built: make image" if stale else None


def is_current(store: Store, image: Image) -> bool:
    """Whether the store has the image of the sources as they are."""
    file = stamp(store, image)
    return file.exists() and file.read_text() == content_hash(image.sources)


def stamp(store: Store, image: Image) -> Path:
    """The file that says from which sources the store's image was made."""
    return store.home / (image.name.replace("/", "_") + ".sources")


def content_hash(sources: tuple[str, ...], root: Path = ROOT) -> str:
    """A hash of the names and contents of some files and folders."""
    total = hashlib.sha256()
    for file in sorted(file for source in sources for file in files_of(root / source)):
        total.update(f"{file.relative_to(root)}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()


def files_of(path: Path) -> Iterator[Path]:
    """A file, or the files below a folder, without what Python leaves behind.

    Raises:
        ClusterFailure: there is neither.
    """
    if path.is_file():
        yield path
        return
    if not path.is_dir():
        raise ClusterFailure(f"{path}, which an image is made of, does not exist")
    for file in path.rglob("*"):
        if file.is_file() and "__pycache__" not in file.parts:
            yield file


def base_layout(state: Path) -> Path:
    """A minimal Debian as an OCI layout, made once; its folder's name is its digest."""
    folder = state / "base"
    if not (found := list(folder.glob("sha256-*"))):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        tar = folder / "root.tar"
        timed(f"Debian {RELEASE}", lambda: call("mmdebstrap", "--variant=minbase", RELEASE, tar))
        digest = oci_layout(tar, folder / "new")
        found = [(folder / "new").rename(folder / digest.replace(":", "-"))]
    return found[0]


def build(state: Path, image: Image, base: Path, socket: Path) -> None:
    """Build one image from the checkout, uncompressed and unpacked for the nodes.

    Raises:
        ClusterFailure: the build failed; its log is shown.
    """
    log = build_log(state, image)
    print(f"          building {image.name}, log in {log}", flush=True)
    with log.open("w") as file:
        code = subprocess.run(buildctl(state, image, base, socket), stdout=file, stderr=file, check=False).returncode
    if code:
        raise ClusterFailure(f"building {image.name} failed:\n{log.read_text()[-6000:]}")


def build_log(state: Path, image: Image) -> Path:
    """Where BuildKit tells how it builds an image."""
    return state / f"build-{image.name.split('/')[-1].split(':')[0]}.log"


def buildctl(state: Path, image: Image, base: Path, socket: Path) -> list[str]:
    """The command line of a build."""
    layout = f"oci-layout://base@{base.name.replace('-', ':', 1)}"
    command = [
        *(str(state / "bin" / "buildctl"), "--addr", f"unix://{socket}", "build", "--progress=plain"),
        *("--frontend", "dockerfile.v0", "--local", f"context={ROOT}", "--local", f"dockerfile={ROOT}"),
        *("--opt", f"filename={image.dockerfile}", "--oci-layout", f"base={base}"),
        *("--opt", f"context:{BASE}={layout}", "--opt", f"build-arg:BASE_IMAGE={image.base or BASE}"),
        *("--opt", "image-resolve-mode=local"),  # a base out of the store is not looked for in a registry
        *("--local", f"hostetc={host_settings(state)}", "--opt", "context:hostetc=local:hostetc"),
        *("--opt", "force-network-mode=host", "--allow", "network.host"),
        *("--output", f"type=image,name={image.name},unpack=true,compression=uncompressed"),
    ]
    if image is TRAINER and (wheel := horovod_wheel(state)):
        command += ["--local", f"horovod={wheel.parent}", "--opt", "context:horovod=local:horovod"]
    return command


BASE: Final = "debian-base"


def host_settings(state: Path) -> Path:
    """A folder with the certificates that this machine trusts, which its way to package registries may need."""
    folder = state / "hostetc"
    folder.mkdir(exist_ok=True)
    shutil.copy("/etc/ssl/certs/ca-certificates.crt", folder)
    return folder


def horovod_wheel(state: Path) -> Path | None:
    """The Horovod wheel that `make install` has compiled, if this interpreter's version is Debian's too; else None.

    Without it the image's own build stage compiles Horovod, which takes some minutes more.
    """
    if sys.version_info[:2] != (3, 11):
        return None
    return find_wheel(wheel_folder(state.parent))
