"""The SDK's tests on newer versions of Python: `make pythons` (root, debootstrap).

Python 3.13 and 3.14 come in a small Debian of their own. Debian has no 3.12 any more: that is the machine's, where it
has one, on PATH or of pyenv.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from tests.cluster.host import state_folder

ROOT: Final = Path(__file__).resolve().parents[1]
OF_DEBIAN: Final = ("3.13", "3.14")
OF_THE_MACHINE: Final = ("3.12",)
PLACE: Final = state_folder().parent / "pythons"
CERTIFICATES: Final = Path("etc/ssl/certs/ca-certificates.crt")
# These need the trainer, the site's builder, or terminals, which the environments do not have.
NOT_HERE: Final = ("test_catalogue.py", "test_run.py", "test_site.py", "test_new_user.py")
# The test cluster's programs, for the tests that need an API server; without them these are skipped.
MOUNT: Final = 'if [ -d "$1" ]; then mkdir -p "$2" && mount --bind "$1" "$2"; fi; shift 2; exec "$@"'
SCRIPT: Final = """
set -eu
cd "$SOURCE"
export PYTHONDONTWRITEBYTECODE=1 UV_PYTHON_DOWNLOADS=never
"$UV" sync --quiet --frozen -p "$1" --extra ui --extra operator --extra s3 --group dev \
  --no-install-package torch --no-install-package torchvision
shift
exec "$UV_PROJECT_ENVIRONMENT/bin/python" -m pytest -q --timeout=120 -p no:cacheprovider "$@" tests/sdk
"""


def debian() -> Path:
    """A folder with Debian unstable, which has both versions at one time."""
    marker = PLACE / "complete"
    if not marker.exists():
        shutil.rmtree(PLACE, ignore_errors=True)
        packages = ",".join(f"python{version},python{version}-venv" for version in OF_DEBIAN)
        command = ["debootstrap", "--variant=minbase", f"--include=ca-certificates,{packages}", "sid", str(PLACE)]
        subprocess.run(command, check=True)
        marker.touch()
    return PLACE


def furnish(place: Path, uv: str) -> None:
    """Put this checkout, uv and the machine's names and certificates there."""
    source = place / "source"
    shutil.rmtree(source, ignore_errors=True)
    source.mkdir()
    archive = subprocess.run(["git", "-C", ROOT, "archive", "HEAD"], stdout=subprocess.PIPE, check=True).stdout
    subprocess.run(["tar", "x", "-C", source], input=archive, check=True)
    shutil.copy(uv, place / "usr/bin/uv")
    for name in ("etc/resolv.conf", "etc/hosts", CERTIFICATES):
        if (Path("/") / name).exists():
            shutil.copy(Path("/") / name, place / name)


def environment(version: str, place: Path, home: Path, uv: Path) -> Mapping[str, str]:
    """The variables of a run.

    Args:
        version: of Python.
        place: where the small Debian is as the run sees it.
        home: the home folder of the run.
        uv: the program.
    """
    return {
        **os.environ,
        "HOME": str(home),
        "UV": str(uv),
        "SOURCE": str(place / "source"),
        "UV_CACHE_DIR": str(place / "uv"),
        "UV_PROJECT_ENVIRONMENT": str(place / f"python{version}"),
    }


def in_debian(version: str, place: Path, left_out: list[str]) -> int:
    """Run the tests on one of Debian's versions; the exit code."""
    # A mount namespace of its own: what is mounted goes with it, however this ends.
    command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", f"--mount-proc={place / 'proc'}"]
    inner = ["chroot", str(place), "sh", "-c", SCRIPT, "sh", f"/usr/bin/python{version}", *left_out]
    programs = [str(state_folder() / "bin"), str(place / "programs")]
    variables = {
        **environment(version, Path("/"), Path("/root"), Path("/usr/bin/uv")),
        "DLTRAIN_CLUSTER_BIN": "/programs",
    }
    words = [*command, "sh", "-c", MOUNT, "sh", *programs, *inner]
    return subprocess.run(words, env=variables, check=False).returncode


def on_the_machine(version: str, place: Path, left_out: list[str]) -> int:
    """Run the tests on a version that the machine has; the exit code, 0 with a word about it where there is none."""
    program = next(installed(version), None)
    if program is None:
        sys.stderr.write(f"not run: this machine has no Python {version}\n")
        return 0
    variables = environment(version, place, Path.home(), place / "usr/bin/uv")
    words = ["sh", "-c", SCRIPT, "sh", str(program), *left_out]
    return subprocess.run(words, env=variables, check=False).returncode


def installed(version: str) -> Iterator[Path]:
    """The programs of a version that run; pyenv's stand-in does not where another version is chosen."""
    name = f"python{version}"
    found = [Path(each, name) for each in os.environ["PATH"].split(os.pathsep)]
    found += sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/{name}"))
    for program in found:
        if program.exists() and not subprocess.run([program, "-c", ""], capture_output=True, check=False).returncode:
            yield program


def main() -> int:
    """Run the tests on every version; the number of versions that they fail on."""
    if os.geteuid() or shutil.which("debootstrap") is None:
        sys.stderr.write("make pythons needs root and debootstrap (apt-get install debootstrap)\n")
        return 1
    place = debian()
    furnish(place, sys.argv[1])
    left_out = [f"--ignore=tests/sdk/{name}" for name in NOT_HERE]
    failed = []
    for run, versions in ((on_the_machine, OF_THE_MACHINE), (in_debian, OF_DEBIAN)):
        for version in versions:
            sys.stderr.write(f"Python {version}\n")
            failed += [version] if run(version, place, left_out) else []
    if failed:
        sys.stderr.write(f"failed on Python {', '.join(failed)}\n")
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
