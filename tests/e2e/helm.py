"""helm, on a cluster to test on."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.chart.rendering import CHART, program
from tests.cluster.host import call
from tests.e2e.live import MANIFESTS, RESTRICTED, SYSTEM, Live

RELEASE: Final = "dltrain"
PREVIOUS: Final = "0.0.9"
ADDED: Final = "Loss"
"""The printed column that the previous version's definition does not have."""


@dataclass(frozen=True)
class Helm:
    """The program, with folders of its own."""

    live: Live
    home: Path

    def __call__(self, *arguments: str | Path) -> str:
        """Run helm in the operator's namespace; its output."""
        folders = {f"HELM_{name}_HOME": str(self.home / name.lower()) for name in ("CACHE", "CONFIG", "DATA")}
        environment = {**os.environ, **folders, "KUBECONFIG": str(self.live.kubeconfig)}
        return call(program("helm"), *arguments, "--namespace", SYSTEM, env=environment)

    def install(self, chart: Path = CHART, *options: str) -> None:
        """Install the chart; returns when the operator is ready."""
        self("install", RELEASE, chart, "--wait", "--timeout=120s", "--take-ownership", "--force-conflicts", *options)

    def upgrade(self, chart: Path = CHART, *options: str) -> None:
        """Upgrade to a chart; returns when the operator is ready."""
        self("upgrade", RELEASE, chart, "--wait", "--timeout=120s", *options)

    def history(self) -> list[tuple[int, str, str]]:
        """The release's revisions: number, chart, status."""
        found: list[dict[str, Any]] = json.loads(self("history", RELEASE, "--output=json"))
        return [(each["revision"], each["chart"], each["status"]) for each in found]


def previous_chart(folder: Path) -> Path:
    """The chart as an older version would have it: another number, and a definition without one printed column."""
    chart = folder / "dltrain"
    shutil.copytree(CHART, chart)
    meta = chart / "Chart.yaml"
    meta.write_text(meta.read_text().replace("\nversion: 0.1.0", f"\nversion: {PREVIOUS}"))
    crds = chart / "files" / "crds.yaml"
    column = f"    - name: {ADDED}\n      type: number\n      jsonPath: .status.progress.loss\n"
    assert column in crds.read_text()
    crds.write_text(crds.read_text().replace(column, ""))
    return chart


@contextmanager
def without_manifests(live: Live) -> Iterator[None]:
    """The cluster without what `kubectl apply -k manifests/` installs, but the definitions; afterwards it is back."""
    live.kubectl("delete", "-f", MANIFESTS / "operator.yaml", "--ignore-not-found", "--wait", "--timeout=90s")
    live.kubectl("create", "namespace", SYSTEM)
    live.kubectl("label", "namespace", SYSTEM, *(f"{name}={value}" for name, value in RESTRICTED.items()))
    try:
        yield
    finally:
        live.kubectl("delete", "namespace", SYSTEM, "--wait", "--timeout=90s")
        live.install()
