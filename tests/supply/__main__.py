"""Runs the checks of the supply chain with a given uv."""

from __future__ import annotations

import subprocess
import sys

from tests.supply.checks import CHECKS, Check, Verdict, verdict


def run(uv: str, check: Check) -> Verdict:
    """Run one check over the files that git knows."""
    files = subprocess.run(["git", "ls-files"], check=True, capture_output=True, text=True).stdout.split()
    command = [uv, *check.arguments, *(files if check.takes_files else [])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return verdict(check.name, done.returncode, done.stdout + done.stderr)


def main() -> None:
    """Run all checks; fail if one has found something."""
    verdicts = [run(sys.argv[1], check) for check in CHECKS]
    for each in verdicts:
        print(each.text)
    sys.exit(any(each.failed for each in verdicts))


if __name__ == "__main__":
    main()
