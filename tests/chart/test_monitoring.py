"""Alerts, recording rules and dashboards: valid, of metrics that exist, and every alert fires and stops."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from dltrain_operator.metrics import Metrics
from tests.chart.alerts import BESIDE_EACH_OTHER, CASES, Case, quiet_test, unit_test
from tests.chart.rendering import CHART, ROOT, named, objects, one, program, render

RULES_FILE = CHART / "files" / "rules-prometheus.yaml"
RULES = [rule for group in yaml.safe_load(RULES_FILE.read_text())["groups"] for rule in group["rules"]]
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}
RECORDED = {rule["record"] for rule in RULES if "record" in rule}
DASHBOARDS = sorted((CHART / "files" / "dashboards").glob("*.json"))
ALL: dict[str, Any] = {
    "podMonitor": {"enabled": True},
    "prometheusRule": {"enabled": True},
    "dashboards": {"enabled": True},
}


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """What promtool says."""
    return subprocess.run([program("promtool"), *arguments], capture_output=True, text=True, check=False)


def test_promtool_finds_the_rules_valid() -> None:
    done = promtool("check", "rules", "--lint=all", "--lint-fatal", RULES_FILE)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_tried() -> None:
    assert CASES.keys() == ALERTS.keys()


def without_texts() -> dict[str, Any]:
    """The rules without annotations, which promtool would compare, numbers and all."""
    rules = yaml.safe_load(RULES_FILE.read_text())
    for group in rules["groups"]:
        for rule in group["rules"]:
            rule.pop("annotations", None)
    assert isinstance(rules, dict)
    return rules


def passes(test: dict[str, Any], folder: Path) -> None:
    """Have promtool try the rules."""
    (folder / "rules.yaml").write_text(yaml.safe_dump(without_texts()))
    (folder / "test.yaml").write_text(yaml.safe_dump(test))
    done = promtool("test", "rules", folder / "test.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_fires_and_stops(alert: str, tmp_path: Path) -> None:
    passes(unit_test(alert, CASES[alert], ALERTS[alert], "rules.yaml"), tmp_path)


@pytest.mark.parametrize(("alert", "case"), BESIDE_EACH_OTHER.values(), ids=BESIDE_EACH_OTHER)
def test_an_alert_tells_installations_apart(alert: str, case: Case, tmp_path: Path) -> None:
    passes(unit_test(alert, case, ALERTS[alert], "rules.yaml"), tmp_path)


def test_two_installations_that_are_well_are_counted_together_and_alert_nobody(tmp_path: Path) -> None:
    passes(quiet_test(ALERTS, "rules.yaml"), tmp_path)


def test_dashboards_tell_installations_apart() -> None:
    asked = dict(queries())
    assert asked["operator: Leaders"] == "sum by (namespace) (dltrain_leader)"
    assert asked["fleet: Jobs by phase"] == "sum by (phase) (max by (namespace, phase) (dltrain_jobs))"


def queries() -> Iterator[tuple[str, str]]:
    """(where, query) of all rules and panels."""
    for rule in RULES:
        yield rule.get("alert") or rule["record"], rule["expr"]
    for file in DASHBOARDS:
        for panel in json.loads(file.read_text())["panels"]:
            for target in panel["targets"]:
                yield f"{file.stem}: {panel['title']}", target["expr"]


def known_series() -> set[str]:
    """The names of the series that the operator serves, and those that rules record."""
    metrics = Metrics()
    metrics.show(lambda: ["Running"], lambda: 0)
    metrics.show_jobs(list, 1)
    suffixes = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
    families = [(family.name, suffixes[family.type]) for family in metrics.registry.collect()]
    return {name + end for name, ends in families for end in ends} | RECORDED


@pytest.mark.parametrize(("where", "query"), list(queries()), ids=lambda value: value[:40])
def test_a_query_asks_for_series_that_exist(where: str, query: str) -> None:
    asked = set(re.findall(r"\b(?:dltrain|process)[:_][a-z0-9_:]+", query))
    assert asked - known_series() == set()
    assert asked or "DCGM_" in query


@pytest.mark.parametrize("alert", ALERTS)
def test_every_alert_has_a_severity_a_text_and_a_runbook(alert: str) -> None:
    rule = ALERTS[alert]
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    assert {"summary", "description"} <= rule["annotations"].keys()
    assert f"\n## {alert}\n" in (ROOT / "docs" / "runbooks.md").read_text()
    rendered = one(objects(render({"metrics": ALL})), "PrometheusRule")
    found = next(each for group in rendered["spec"]["groups"] for each in group["rules"] if each.get("alert") == alert)
    assert found["annotations"]["runbook_url"] == f"docs/runbooks.md#{alert.lower()}"


def test_dashboards_are_in_the_config_map_as_they_are() -> None:
    data = named(objects(render({"metrics": ALL})))["ConfigMap/dltrain-system/dltrain-dashboards"]["data"]
    assert data == {file.name: file.read_text() for file in DASHBOARDS}


def test_scraping_twice_is_refused() -> None:
    both = {"metrics": {"podMonitor": {"enabled": True}, "serviceMonitor": {"enabled": True}}}
    done = subprocess.run(
        [program("helm"), "template", "x", CHART, "--values=-"],
        input=json.dumps(both),
        capture_output=True,
        text=True,
        check=False,
    )
    assert "podMonitor and serviceMonitor are both enabled" in done.stderr


def test_a_service_monitor_finds_the_service_and_the_port() -> None:
    found = objects(render({"metrics": {"serviceMonitor": {"enabled": True}}}))
    service, monitor = one(found, "Service"), one(found, "ServiceMonitor")
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert monitor["spec"]["endpoints"][0]["port"] == service["spec"]["ports"][0]["name"]
