"""dltrain as a user gets it: a wheel, installed into a fresh environment."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.cluster.host import state_folder

ROOT: Final = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Installed:
    """A fresh environment with the wheel."""

    folder: Path

    def run(self, *words: str, cwd: Path, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        """Run one of its programs, with nothing of this checkout in the way."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
        path = f"{self.folder / 'bin'}{os.pathsep}{kept.get('PATH', os.defpath)}"
        return subprocess.run(
            [str(self.folder / "bin" / words[0]), *words[1:]],
            cwd=cwd,
            env={**kept, "PATH": path, **environment},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )


def uv() -> Path | None:
    """The uv of the cache, which `make install` puts there."""
    return next(iter(sorted(state_folder().parent.glob("uv-*/bin/uv"), reverse=True)), None)


def install_wheel(folder: Path) -> Installed:
    """Build the wheel and install it; what it depends on is taken from where these tests run, for torch is large."""
    program = uv()
    assert program is not None
    subprocess.run([program, "build", "--quiet", "--wheel", "--out-dir", folder, ROOT], check=True)
    place = folder / "environment"
    venv.create(place, with_pip=False, symlinks=True)
    wheel = next(folder.glob("dltrain-*.whl"))
    own = Path(sysconfig.get_path("purelib", "venv", {"base": str(place), "platbase": str(place)}))
    target: list[str | Path] = ["--python", place / "bin" / "python"]
    subprocess.run([program, "pip", "install", "--quiet", "--no-deps", *target, wheel], check=True)
    (own / "shared.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    for name in ("mpirun", "prte", "prted"):
        if (tool := Path(sys.executable).parent / name).exists():
            (place / "bin" / name).symlink_to(tool)
    return Installed(place)
