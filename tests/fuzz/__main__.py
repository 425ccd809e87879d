"""`python -m tests.fuzz SECONDS`: try every reader in turn until the time is up; findings go to tests/fuzz/corpus."""

from __future__ import annotations

import hashlib
import logging
import random
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path
from typing import Final

from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.fuzz.mutations import mutations
from tests.fuzz.targets import TARGETS, Target, tried

CORPUS: Final = Path(__file__).parent / "corpus"
ROUND: Final = 200
"""Inputs of one reader before the next has its turn."""


def finding(name: str, target: Target, folder: Path, number: int) -> bytes | None:
    """The smallest input of a round that a reader fails with; None if there is none."""
    newest = b""

    @seed(number)
    @settings(
        max_examples=ROUND,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(mutations(target.sound))
    def attempt(data: bytes) -> None:
        nonlocal newest
        try:
            tried(target, data, folder)
        except Exception:
            newest = data
            raise

    try:
        attempt()
    except Exception:  # noqa: BLE001 - whatever a reader raises is what is looked for
        say(f"{name}: {newest[:200]!r}\n{traceback.format_exc(limit=-4)}")
        return newest
    return None


def say(text: str) -> None:
    """Tell whoever waits."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main(limit: float) -> int:
    """Try until the time is up; 1 if something was found."""
    logging.disable(logging.WARNING)
    warnings.simplefilter("error")
    ends, rounds, found = time.monotonic() + limit, 0, set[str]()
    with tempfile.TemporaryDirectory() as folder:
        while time.monotonic() < ends and len(found) < len(TARGETS):
            for name in TARGETS.keys() - found:
                own = Path(folder, name)
                own.mkdir(exist_ok=True)
                data = finding(name, TARGETS[name], own, random.getrandbits(64))
                rounds += 1
                if data is not None:
                    found.add(name)
                    (CORPUS / name).mkdir(parents=True, exist_ok=True)
                    (CORPUS / name / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)
                if time.monotonic() >= ends:
                    break
    say(f"{rounds * ROUND} inputs, findings: {', '.join(sorted(found)) or 'none'}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1])))
