"""What the chart renders for some values, kept as text: `python -m tests.chart.snapshots` keeps it anew.

A change of a template then shows in a review as what it does to objects. Definitions, rules and dashboards are left
out: they are files of their own, compared where they are made.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tests.chart.rendering import render

FOLDER: Final = Path(__file__).parent / "snapshots"
WITHOUT_CRDS: Final = {"crds": {"install": False}}
EVERYTHING: Final[Mapping[str, Any]] = {
    "global": {"imageRegistry": "registry.example.com/mirror"},
    "image": {"digest": f"sha256:{'0' * 64}", "pullPolicy": "Always"},
    "imagePullSecrets": ["pull"],
    "commonLabels": {"team": "platform"},
    "commonAnnotations": {"owner": "platform"},
    "operator": {
        "namespaces": ["ml", "research"],
        "workers": 4,
        "requests": 8,
        "logLevel": "DEBUG",
        "logFormat": "text",
        "healthPort": 9090,
        "nodeSelector": {"node": "system"},
        "tolerations": [{"key": "system", "operator": "Exists", "effect": "NoSchedule"}],
        "affinity": {"nodeAffinity": {}},
        "topologySpreadConstraints": [
            {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": {}}
        ],
        "priorityClassName": "system-cluster-critical",
        "podLabels": {"sidecar": "no"},
        "podAnnotations": {"note": "x"},
    },
    "serviceAccount": {"name": "trainer-operator", "annotations": {"role": "x"}},
    "networkPolicy": {"metricsFrom": [{"namespaceSelector": {}}], "apiServer": ["10.0.0.0/28"]},
    "priorityClasses": [{"name": "low", "value": -10, "preemptionPolicy": "Never", "description": "whenever"}],
    "test": {"gpus": 1, "jobTemplate": {"spec": {"nodeSelector": {"node": "gpu"}}}},
    "extraObjects": [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "mine", "labels": {"team": "platform"}}}
    ],
}
"""Values that differ from the defaults wherever one can."""
MONITORS: Final = {"jobs": 20, "podMonitor": {"enabled": True, "interval": "15s", "labels": {"release": "prometheus"}}}
SERVICE: Final = {"serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}}}
CASES: Final[Mapping[str, tuple[Mapping[str, Any], tuple[str, ...]]]] = {
    "default": ({}, ()),
    "one-operator": ({"operator": {"replicas": 1}, "test": {"enabled": False}, "rbac": {"userRoles": False}}, ()),
    "everything": ({**EVERYTHING, "metrics": MONITORS, "webPage": {"enabled": True, "namespace": "ml"}}, ()),
    "service-monitor": ({"metrics": SERVICE, "networkPolicy": {"enabled": False}, "webPage": {"enabled": True}}, ()),
    "eks": ({}, ("values-eks.yaml",)),
    "airgapped": ({}, ("values-airgapped.yaml",)),
}
"""Name -> values, and files of the chart's folder below them."""


def rendered(name: str) -> str:
    """What the chart renders in a case."""
    values, files = CASES[name]
    return render({**values, **WITHOUT_CRDS}, *files)


def main() -> None:
    """Keep all of them."""
    FOLDER.mkdir(exist_ok=True)
    for name in CASES:
        (FOLDER / f"{name}.yaml").write_text(rendered(name))


if __name__ == "__main__":
    main()
