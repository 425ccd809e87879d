"""Grafana's dashboards, from a table of panels."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

COLUMNS: Final = 24
"""The width of Grafana's grid."""
SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}

CHOICE: Final = {"name": "datasource", "label": "Source", "type": "datasource", "query": "prometheus"}
"""The Prometheus that is asked, chosen by whoever looks."""


def chosen(name: str, label: str, query: str) -> dict[str, Any]:
    """Values of a label, chosen by whoever looks; all at first."""
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }


JOB_CHOICES: Final = (
    chosen("namespace", "Namespace", "label_values(dltrain_job_step, job_namespace)"),
    chosen("job", "Job", 'label_values(dltrain_job_step{job_namespace=~"$namespace"}, job_name)'),
)


@dataclass(frozen=True)
class Panel:
    """One panel: a question, its unit, and what Prometheus is asked."""

    title: str
    description: str
    queries: Mapping[str, str]
    """Legend -> query."""
    unit: str = "short"
    kind: str = "timeseries"
    width: int = 8


def quantile(share: float, family: str, by: str = "") -> str:
    """The query for a quantile of a histogram."""
    labels = ", ".join(filter(None, ("le", by)))
    return f"histogram_quantile({share}, sum by ({labels}) (rate({family}_bucket[$__rate_interval])))"


def rate(family: str, by: str = "") -> str:
    """The query for a counter's rate over all replicas."""
    return f"sum {f'by ({by}) ' if by else ''}(rate({family}[$__rate_interval]))"


CHOSEN: Final = '{job_namespace=~"$namespace", job_name=~"$job"}'
"""The jobs that whoever looks has chosen."""


def of_job(name: str, by: str = "") -> str:
    """The query for a gauge of single jobs, which all replicas of the operator tell alike."""
    labels = ", ".join(filter(None, ("job_namespace", "job_name", by)))
    return f"max by ({labels}) (dltrain_job_{name}{CHOSEN})"


OPERATOR: Final = (
    Panel(
        "Leaders",
        "One replica of each installation leads; anything else is wrong.",
        {"{{namespace}}": "sum by (namespace) (dltrain_leader)"},
        kind="stat",
    ),
    Panel("Jobs waiting", "To be looked at.", {"queue": "max(dltrain_queue_depth)"}, kind="stat"),
    Panel(
        "Errors",
        "Looks at jobs that failed and are tried again.",
        {"{{error}}": rate("dltrain_reconcile_errors_total", "error")},
        "ops",
    ),
    Panel(
        "A look at a job",
        "How long it takes, requests included.",
        {"half": quantile(0.5, "dltrain_reconcile_seconds"), "99 %": quantile(0.99, "dltrain_reconcile_seconds")},
        "s",
    ),
    Panel(
        "Requests to Kubernetes",
        "By verb and code; watches are not counted.",
        {"{{verb}} {{code}}": rate("dltrain_api_requests_total", "verb, code")},
        "reqps",
    ),
    Panel(
        "Watch lag",
        "From the answer to a write until its event.",
        {"99 %": quantile(0.99, "dltrain_watch_lag_seconds")},
        "s",
    ),
    Panel("Memory", "Of each replica.", {"{{instance}}": "process_resident_memory_bytes"}, "bytes", width=12),
    Panel(
        "CPU", "Cores of each replica.", {"{{instance}}": "rate(process_cpu_seconds_total[$__rate_interval])"}, width=12
    ),
)
FLEET: Final = (
    Panel(
        "Jobs by phase",
        "All that exist.",
        {"{{phase}}": "sum by (phase) (max by (namespace, phase) (dltrain_jobs))"},
        width=12,
    ),
    Panel(
        "Goodput",
        "Share of the GPU time that workers held which went into steps that counted.",
        {
            "goodput": "sum(rate(dltrain_gpu_productive_seconds_total[1h]))"
            " / (sum(rate(dltrain_gpu_allocated_seconds_total[1h])) > 0)"
        },
        "percentunit",
        "stat",
        12,
    ),
    Panel("New jobs", "Per second.", {"created": rate("dltrain_jobs_created_total")}, "ops"),
    Panel(
        "Ended jobs",
        "By outcome and reason.",
        {"{{outcome}} {{reason}}": rate("dltrain_jobs_finished_total", "outcome, reason")},
        "ops",
    ),
    Panel(
        "Restarts",
        "After errors of ranks (user) and of lost pods (infrastructure).",
        {"{{class}}": rate("dltrain_restarts_total", "class")},
        "ops",
    ),
    Panel(
        "From creation to each milestone",
        "Half of the jobs take less.",
        {"{{milestone}}": quantile(0.5, "dltrain_job_latency_seconds", "milestone")},
        "s",
        width=12,
    ),
    Panel(
        "GPUs held and at work",
        "How many, on average.",
        {
            "held": rate("dltrain_gpu_allocated_seconds_total"),
            "at work": rate("dltrain_gpu_productive_seconds_total"),
        },
        width=12,
    ),
    Panel(
        "GPU utilisation",
        "Of workers' GPUs, from NVIDIA's DCGM exporter; empty without it.",
        {"{{pod}} {{gpu}}": 'DCGM_FI_DEV_GPU_UTIL{container="worker"}'},
        "percent",
        width=24,
    ),
)
JOBS: Final = (
    Panel("Loss", "Of the newest step reported.", {"{{job_namespace}}/{{job_name}}": of_job("loss")}, width=12),
    Panel(
        "Samples per second",
        "Of all ranks.",
        {"{{job_namespace}}/{{job_name}}": of_job("samples_per_second")},
        width=12,
    ),
    Panel(
        "Where the time goes",
        "Shares of rank 0's time: computing, waiting for others, waiting for batches.",
        {"{{job_namespace}}/{{job_name}} {{part}}": of_job("time_share", "part")},
        "percentunit",
    ),
    Panel(
        "Progress",
        "Share of the steps that are done.",
        {"{{job_namespace}}/{{job_name}}": f"{of_job('step')} / {of_job('steps')}"},
        "percentunit",
    ),
    Panel(
        "Steps since the last checkpoint",
        "What a loss of every pod would undo.",
        {"{{job_namespace}}/{{job_name}}": f"{of_job('step')} - {of_job('checkpoint_step')}"},
    ),
    Panel("Restarts", "So far.", {"{{job_namespace}}/{{job_name}} {{class}}": of_job("restarts", "class")}, width=12),
    Panel(
        "Workers that are missing",
        "Asked for and not ready.",
        {"{{job_namespace}}/{{job_name}}": f"{of_job('workers_desired')} - {of_job('workers_ready')}"},
        width=12,
    ),
    Panel("Jobs beyond the limit", "Not told: raise metrics.jobs.", {"jobs": "max(dltrain_jobs_untold)"}, kind="stat"),
)
DASHBOARDS: Final[Mapping[str, tuple[str, Sequence[Panel]]]] = {
    "operator": ("dltrain: operator", OPERATOR),
    "fleet": ("dltrain: jobs and GPUs", FLEET),
    "jobs": ("dltrain: single jobs", JOBS),
}


def dashboard(name: str) -> str:
    """A dashboard's JSON."""
    title, panels = DASHBOARDS[name]
    return json.dumps(
        {
            "uid": f"dltrain-{name}",
            "title": title,
            "tags": ["dltrain"],
            "schemaVersion": 39,
            "refresh": "30s",
            "time": {"from": "now-6h", "to": "now"},
            "templating": {"list": [CHOICE, *(JOB_CHOICES if panels is JOBS else ())]},
            "panels": placed(panels),
        },
        indent=1,
    )


def placed(panels: Sequence[Panel]) -> list[dict[str, Any]]:
    """Panels from left to right, in as many rows as they need."""
    found, x, y = [], 0, 0
    for number, panel in enumerate(panels, 1):
        if x + panel.width > COLUMNS:
            x, y = 0, y + 8
        found.append({**drawn(panel), "id": number, "gridPos": {"x": x, "y": y, "w": panel.width, "h": 8}})
        x += panel.width
    return found


def drawn(panel: Panel) -> dict[str, Any]:
    """A panel without its place."""
    targets = [
        {"refId": chr(ord("A") + index), "expr": query, "legendFormat": legend, "datasource": SOURCE}
        for index, (legend, query) in enumerate(panel.queries.items())
    ]
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": SOURCE,
        "targets": targets,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
    }
