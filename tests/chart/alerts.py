"""What makes each alert fire, and what makes it stop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

MINUTES: Final = 240
"""The length of each history; a sample a minute."""
TURN: Final = 120
"""The minute from which on all is well again."""


@dataclass(frozen=True)
class Case:
    """A history of some series: trouble until TURN, then none."""

    series: dict[str, tuple[str, str]]
    """Series -> its samples until TURN, and after it, in promtool's notation."""
    fires: int
    """The minute at which the alert is expected to fire."""
    rests: int = 239
    """The minute at which it is expected to have stopped."""


def steady(value: float) -> tuple[str, str]:
    """A gauge in trouble, then at 0."""
    return f"{value}x{TURN - 1}", f"0x{MINUTES - TURN}"


def growing(bad: float, good: float = 0) -> tuple[str, str]:
    """A counter that grows by so much a minute, in trouble and after it."""
    return f"0+{bad}x{TURN - 1}", f"{bad * TURN}+{good}x{MINUTES - TURN}"


def slow(family: str, limit: str) -> dict[str, tuple[str, str]]:
    """A histogram whose observations are all above a limit, then all below half a second."""
    return {
        f'{family}_bucket{{le="0.5"}}': growing(0, 60),
        f'{family}_bucket{{le="{limit}"}}': growing(0, 60),
        f'{family}_bucket{{le="+Inf"}}': growing(60, 60),
    }


CASES: Final[dict[str, Case]] = {
    "DLTrainNoOperator": Case({"dltrain_leader": (f"0x{TURN - 1}", f"1x{MINUTES - TURN}")}, 6),
    "DLTrainTwoLeaders": Case(
        {
            'dltrain_leader{instance="a"}': (f"1x{TURN - 1}", f"1x{MINUTES - TURN}"),
            'dltrain_leader{instance="b"}': (f"1x{TURN - 1}", f"0x{MINUTES - TURN}"),
        },
        3,
    ),
    "DLTrainOperatorDefect": Case({'dltrain_reconcile_errors_total{error="defect"}': growing(1)}, 5),
    "DLTrainReconcileErrors": Case({'dltrain_reconcile_errors_total{error="UnavailableError"}': growing(30)}, 20),
    "DLTrainSlowReconcile": Case(slow("dltrain_reconcile_seconds", "10.0"), 25),
    "DLTrainQueueBacklog": Case({"dltrain_queue_depth": steady(500)}, 11),
    "DLTrainApiErrors": Case(
        {
            'dltrain_api_requests_total{verb="PATCH",code="429"}': growing(30),
            'dltrain_api_requests_total{verb="PATCH",code="200"}': growing(60, 60),
        },
        25,
    ),
    "DLTrainWatchLag": Case(slow("dltrain_watch_lag_seconds", "30.0"), 25),
    "DLTrainJobsFailing": Case(
        {
            'dltrain_jobs_finished_total{outcome="failed",reason="UserError"}': growing(2),
            'dltrain_jobs_finished_total{outcome="succeeded",reason="Completed"}': growing(0, 2),
        },
        30,
    ),
    "DLTrainJobsPending": Case({'dltrain_jobs{phase="Pending"}': steady(3)}, 31),
    "DLTrainPodsLost": Case({'dltrain_restarts_total{class="infrastructure"}': growing(1)}, 30),
    "DLTrainLowGoodput": Case(
        {
            "dltrain_gpu_allocated_seconds_total": growing(480, 480),
            "dltrain_gpu_productive_seconds_total": growing(60, 450),
        },
        60,
    ),
}


def unit_test(alert: str, rule: dict[str, Any], rules_file: str) -> dict[str, Any]:
    """promtool's test that one alert fires and stops; its labels are those of the rule and of what it is about."""
    case = CASES[alert]
    about = {"phase": "Pending"} if alert == "DLTrainJobsPending" else {}
    firing = {"exp_labels": {**rule["labels"], **about}}
    return {
        "rule_files": [rules_file],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": name, "values": " ".join(parts)} for name, parts in case.series.items()],
                "alert_rule_test": [
                    {"eval_time": f"{case.fires}m", "alertname": alert, "exp_alerts": [firing]},
                    {"eval_time": f"{case.rests}m", "alertname": alert, "exp_alerts": []},
                ],
            }
        ],
    }
