"""The files of the chart that follow from other files, so that there is one truth of each thing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import yaml
from helm.sources.dashboards import DASHBOARDS, dashboard
from helm.sources.fields import Group
from helm.sources.table import values_table
from helm.sources.values import values
from helm.sources.yaml_text import values_yaml

CHART: Final = "helm/dltrain"
CLUSTER_SCOPED: Final = frozenset({"dltrainprofiles"})
"""What the operator reads that is in no namespace."""
NOTE: Final = "# Generated from manifests/{source} by `make chart`; do not edit.\n"


def files(root: Path) -> dict[str, str]:
    """Path below the project's root -> text, of every generated file.

    Args:
        root: the project's root, whose manifests are read.
    """
    operator = documents(root / "manifests/operator.yaml")
    page = documents(root / "manifests/web-page.yaml")
    deployment = only(operator, "Deployment")["spec"]
    all_values = values(deployment["replicas"])
    return {
        **{f"{CHART}/files/dashboards/{name}.json": dashboard(name) + "\n" for name in DASHBOARDS},
        f"{CHART}/values.yaml": values_yaml(all_values),
        f"{CHART}/values.schema.json": json.dumps(values_schema(all_values), indent=2) + "\n",
        "docs/reference/chart.md": values_table(all_values),
        f"{CHART}/files/deployment.yaml": NOTE.format(source="operator.yaml") + dump(deployment),
        f"{CHART}/files/rules.yaml": NOTE.format(source="operator.yaml") + dump(rules(operator)),
        f"{CHART}/files/web-page.yaml": NOTE.format(source="web-page.yaml") + dump(web_page(page)),
        f"{CHART}/files/crds.yaml": NOTE.format(source="crd.yaml") + (root / "manifests/crd.yaml").read_text(),
    }


def documents(path: Path) -> list[dict[str, Any]]:
    """The objects of a file."""
    return list(yaml.safe_load_all(path.read_text()))


def only(objects: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    """The one object of a kind."""
    (found,) = (document for document in objects if document["kind"] == kind)
    return found


def values_schema(all_values: Group) -> dict[str, Any]:
    """The schema that helm checks values with."""
    head = {"$schema": "http://json-schema.org/draft-07/schema#", "title": "Values of the dltrain chart"}
    return {**head, **all_values.to_schema()}


def rules(operator: list[dict[str, Any]]) -> dict[str, Any]:
    """The operator's rights: in namespaces of jobs (`jobs`), beyond namespaces (`cluster`), in its own (`own`)."""
    everywhere = only(operator, "ClusterRole")["rules"]
    cluster = [rule for rule in everywhere if set(rule["resources"]) <= CLUSTER_SCOPED]
    jobs = [rule for rule in everywhere if rule not in cluster]
    return {"jobs": jobs, "cluster": cluster, "own": only(operator, "Role")["rules"]}


def web_page(page: list[dict[str, Any]]) -> dict[str, Any]:
    """The web page's rights and the spec of its Deployment."""
    return {"rules": only(page, "ClusterRole")["rules"], "spec": only(page, "Deployment")["spec"]}


def dump(value: Any) -> str:
    """A value as YAML."""
    return yaml.safe_dump(value, sort_keys=False, default_flow_style=None, width=120)
