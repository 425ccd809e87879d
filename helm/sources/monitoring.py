"""What an installation can be told about its metrics."""

from __future__ import annotations

from typing import Final

from helm.sources.fields import Group, integer, switch, text, words

DURATION: Final = r"^[0-9]+(ms|s|m|h)$"


def monitor(kind: str, what: str) -> Group:
    """An object of the Prometheus operator by which metrics are scraped."""
    return Group(
        f"A {kind} (monitoring.coreos.com/v1) by which a Prometheus finds {what}.",
        {
            "enabled": switch(f"Whether there is one; the cluster must know the kind {kind}.", default=False),
            "interval": text("How often metrics are read.", "30s", DURATION),
            "labels": words("Its labels, which a Prometheus may select by."),
        },
    )


METRICS: Final = Group(
    "Metrics of the operator, for Prometheus and Grafana.",
    {
        "jobs": integer(
            "Of how many jobs that run the metrics tell loss, throughput and the like, by namespace and name; 0 for "
            "none. Whoever reaches the metrics then reads them: see networkPolicy.metricsFrom.",
            0,
            0,
            10_000,
        ),
        "podMonitor": monitor("PodMonitor", "the operator's pods"),
        "serviceMonitor": monitor("ServiceMonitor", "them through a Service of their own"),
        "prometheusRule": Group(
            "A PrometheusRule (monitoring.coreos.com/v1) with recording rules and alerts.",
            {
                "enabled": switch(
                    "Whether there is one; the cluster must know the kind PrometheusRule.", default=False
                ),
                "labels": words("Its labels, which a Prometheus may select by."),
                "runbooks": text(
                    "The page that an alert's runbook_url leads to, at the alert's name.", "docs/runbooks.md"
                ),
            },
        ),
        "dashboards": Group(
            "A ConfigMap with Grafana's dashboards.",
            {
                "enabled": switch("Whether there is one.", default=False),
                "labels": words("Its labels, by which Grafana's sidecar finds it.", {"grafana_dashboard": "1"}),
                "annotations": words("Its annotations, as for the folder that the sidecar puts it in."),
            },
        ),
    },
)
