"""A Prometheus of this machine that reads the operator's pods, and what Grafana would ask it."""

from __future__ import annotations

import json
import math
import re
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from tests.apiserver import free_port
from tests.chart.rendering import CHART, program
from tests.cluster.host import wait_for

RULES: Final = CHART / "files" / "rules-prometheus.yaml"
DASHBOARDS: Final = sorted((CHART / "files" / "dashboards").glob("*.json"))
VARIABLES: Final = {"$__rate_interval": "20s", "$namespace": ".*", "$job": ".*"}
"""What Grafana puts into queries."""


@dataclass(frozen=True)
class Prometheus:
    """A running server."""

    url: str
    started: float

    def ask(self, path: str, **query: Any) -> Any:
        """What its API answers."""
        text = urllib.parse.urlencode(query)
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{text}", timeout=20) as answer:
            return json.load(answer)["data"]

    def numbers(self, query: str) -> list[float]:
        """Every number of every series that a query gives over the whole time."""
        found = self.ask("query_range", query=query, start=self.started, end=time.time(), step=2)
        samples = [float(number) for series in found["result"] for _, number in series["values"]]
        return [number for number in samples if math.isfinite(number)]

    def rules(self) -> dict[str, str]:
        """Rule -> whether it could be evaluated: ok, unknown or err."""
        groups = self.ask("rules")["groups"]
        return {rule["name"]: rule["health"] for group in groups for rule in group["rules"]}


@contextmanager
def prometheus(folder: Path, targets: Sequence[str]) -> Iterator[Prometheus]:
    """A Prometheus that reads some addresses every second, with the chart's rules."""
    port = free_port()
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "2s"},
        "rule_files": [str(RULES)],
        "scrape_configs": [{"job_name": "dltrain", "static_configs": [{"targets": list(targets)}]}],
    }
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
    command: list[str | Path] = [
        program("prometheus"),
        f"--config.file={folder / 'prometheus.yaml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    log = folder / "prometheus.log"
    with log.open("w") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        server = Prometheus(f"http://127.0.0.1:{port}", time.time())
        try:
            wait_for("Prometheus", lambda: is_ready(server), 60)
            yield server
        except BaseException as error:
            error.add_note(log.read_text()[-3000:])
            raise
        finally:
            process.terminate()
            process.wait(20)


def is_ready(server: Prometheus) -> bool:
    """Whether all targets were read."""
    try:
        targets = server.ask("targets")["activeTargets"]
    except OSError:
        return False
    return bool(targets) and all(target["health"] == "up" for target in targets)


def panels() -> Iterator[tuple[str, str]]:
    """(dashboard and title, query) of every panel, as Grafana would ask it."""
    for file in DASHBOARDS:
        for panel in json.loads(file.read_text())["panels"]:
            for target in panel["targets"]:
                query = re.sub(r"\$\w+", lambda name: VARIABLES[name[0]], target["expr"])
                yield f"{file.stem}: {panel['title']}", query
