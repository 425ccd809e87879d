"""`python -m helm.sources`: write what the chart is generated from its sources, or compare with `--check`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Final

from helm.sources.generated import files

ROOT: Final = Path(__file__).resolve().parents[2]


def main() -> None:
    """Write the files; with --check name those that differ and fail."""
    parser = argparse.ArgumentParser(prog="python -m helm.sources", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail where a file is not up to date")
    checking = parser.parse_args().check
    wanted = {ROOT / name: text for name, text in files(ROOT).items()}
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text() != text]
    for path in stale:
        if checking:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(wanted[path])
    if checking and stale:
        names = ", ".join(str(path.relative_to(ROOT)) for path in stale)
        sys.exit(f"not up to date: {names}: make chart")


if __name__ == "__main__":
    main()
