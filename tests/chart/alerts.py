"""What makes each alert fire, and what makes it stop."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
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
    about: dict[str, str] = field(default_factory=dict)
    """The labels that tell what it is about."""


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
    "DLTrainJobsPending": Case({'dltrain_jobs{phase="Pending"}': steady(3)}, 31, about={"phase": "Pending"}),
    "DLTrainPodsLost": Case({'dltrain_restarts_total{class="infrastructure"}': growing(1)}, 30),
    "DLTrainLowGoodput": Case(
        {
            "dltrain_gpu_allocated_seconds_total": growing(480, 480),
            "dltrain_gpu_productive_seconds_total": growing(60, 450),
        },
        60,
    ),
}


def leads(namespace: str, instance: str = "a") -> str:
    """The series by which an operator tells whether it leads."""
    return f'dltrain_leader{{namespace="{namespace}",instance="{instance}"}}'


ALWAYS: Final = (f"1x{TURN - 1}", f"1x{MINUTES - TURN}")
STANDS_BY: Final = (f"0x{TURN - 1}", f"0x{MINUTES - TURN}")
GONE: Final = (f"1x5 _x{TURN - 6}", f"1x{MINUTES - TURN}")
TWO_WELL: Final = {
    leads("team-a"): ALWAYS,
    leads("team-a", "b"): STANDS_BY,
    leads("team-b"): ALWAYS,
    leads("team-b", "b"): STANDS_BY,
}
"""Two installations beside each other, in which nothing is wrong."""
BESIDE_EACH_OTHER: Final[dict[str, tuple[str, Case]]] = {
    "one does not lead": (
        "DLTrainNoOperator",
        Case({**TWO_WELL, leads("team-b"): (STANDS_BY[0], ALWAYS[1])}, 6, about={"namespace": "team-b"}),
    ),
    "one is gone": (
        "DLTrainNoOperator",
        Case({leads("team-a"): ALWAYS, leads("team-b"): GONE}, 20, about={"namespace": "team-b"}),
    ),
    "the only one is gone": ("DLTrainNoOperator", Case({leads("team-a"): GONE}, 20, about={"namespace": "team-a"})),
    "none was ever there": ("DLTrainNoOperator", Case({leads("team-a"): (f"_x{TURN - 1}", ALWAYS[1])}, 6)),
    "two lead in one": (
        "DLTrainTwoLeaders",
        Case({**TWO_WELL, leads("team-b", "b"): (ALWAYS[0], STANDS_BY[1])}, 3, about={"namespace": "team-b"}),
    ),
    "jobs wait in both": (
        "DLTrainJobsPending",
        Case(
            {f'dltrain_jobs{{namespace="{each}",phase="Pending"}}': steady(3) for each in ("team-a", "team-b")},
            31,
            about={"phase": "Pending"},
        ),
    ),
}
"""What happens -> the alert that it makes fire, and how."""


def quiet_test(alerts: Iterable[str], rules_file: str) -> dict[str, Any]:
    """promtool's test that two installations that are well make no alert fire, and that their jobs add up."""
    jobs = {
        f'dltrain_jobs{{namespace="{namespace}",instance="{instance}",phase="Running"}}': (count, count)
        for namespace, count in (("team-a", f"3x{TURN}"), ("team-b", f"4x{TURN}"))
        for instance in ("a", "b")
    }
    silence = [
        {"eval_time": f"{minute}m", "alertname": alert, "exp_alerts": []}
        for alert in alerts
        for minute in (60, MINUTES - 1)
    ]
    all_jobs = [{"labels": 'dltrain:jobs{phase="Running"}', "value": 7}]
    counted = [{"expr": "dltrain:jobs", "eval_time": "60m", "exp_samples": all_jobs}]
    return promtool_test(TWO_WELL | jobs, rules_file, alert_rule_test=silence, promql_expr_test=counted)


def unit_test(alert: str, case: Case, rule: dict[str, Any], rules_file: str) -> dict[str, Any]:
    """promtool's test that one alert fires and stops; its labels are those of the rule and of what it is about."""
    firing = {"exp_labels": {**rule["labels"], **case.about}}
    alerts = [
        {"eval_time": f"{case.fires}m", "alertname": alert, "exp_alerts": [firing]},
        {"eval_time": f"{case.rests}m", "alertname": alert, "exp_alerts": []},
    ]
    return promtool_test(case.series, rules_file, alert_rule_test=alerts)


def promtool_test(series: dict[str, tuple[str, str]], rules_file: str, **expected: Any) -> dict[str, Any]:
    """promtool's test of what rules make of the history of some series."""
    values = [{"series": name, "values": " ".join(parts)} for name, parts in series.items()]
    return {
        "rule_files": [rules_file],
        "evaluation_interval": "1m",
        "tests": [{"interval": "1m", "input_series": values, **expected}],
    }
