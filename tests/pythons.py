"""The SDK's tests on newer versions of Python, in a small Debian of their own: `make pythons` (root, debootstrap)."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.cluster.host import state_folder

ROOT: Final = Path(__file__).resolve().parents[1]
VERSIONS: Final = ("3.13", "3.14")
PLACE: Final = state_folder().parent / "pythons"
CERTIFICATES: Final = Path("etc/ssl/certs/ca-certificates.crt")
# These need the trainer, the site's builder, or terminals, which the small Debian does not have.
NOT_HERE: Final = ("test_catalogue.py", "test_run.py", "test_site.py", "test_new_user.py")
# The test cluster's programs, for the tests that need an API server; without them these are skipped.
MOUNT: Final = 'if [ -d "$1" ]; then mkdir -p "$2" && mount --bind "$1" "$2"; fi; shift 2; exec "$@"'
SCRIPT: Final = """
set -eu
cd /source
export HOME=/root PYTHONDONTWRITEBYTECODE=1 UV_CACHE_DIR=/uv UV_PYTHON_DOWNLOADS=never DLTRAIN_CLUSTER_BIN=/programs
export UV_PROJECT_ENVIRONMENT=/python$1
uv sync --quiet --frozen -p /usr/bin/python$1 --extra ui --extra operator --group dev \
  --no-install-package torch --no-install-package torchvision
exec /python$1/bin/python -m pytest -q --timeout=120 -p no:cacheprovider $2 tests/sdk
"""


def debian() -> Path:
    """A folder with Debian unstable, which has every version at one time."""
    marker = PLACE / "complete"
    if not marker.exists():
        shutil.rmtree(PLACE, ignore_errors=True)
        packages = ",".join(f"python{version},python{version}-venv" for version in VERSIONS)
        command = ["debootstrap", "--variant=minbase", f"--include=ca-certificates,{packages}", "sid", PLACE]
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


def main() -> int:
    """Run the tests on every version; the number of versions that they fail on."""
    if os.geteuid() or shutil.which("debootstrap") is None:
        sys.stderr.write("make pythons needs root and debootstrap (apt-get install debootstrap)\n")
        return 1
    place = debian()
    furnish(place, sys.argv[1])
    left_out = " ".join(f"--ignore=tests/sdk/{name}" for name in NOT_HERE)
    failed = []
    for version in VERSIONS:
        sys.stderr.write(f"Python {version}\n")
        # A mount namespace of its own: what is mounted goes with it, however this ends.
        command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", f"--mount-proc={place / 'proc'}"]
        inner = ["chroot", place, "sh", "-c", SCRIPT, "sh", version, left_out]
        programs = [state_folder() / "bin", place / "programs"]
        done = subprocess.run([*command, "sh", "-c", MOUNT, "sh", *programs, *inner], check=False)
        failed += [version] if done.returncode else []
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
