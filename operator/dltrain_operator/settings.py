"""What the operator can be told, by flags or environment variables, and what it tells kopf."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, get_args

import kopf

from dltrain_operator.apply import PAGE
from dltrain_operator.gangs import Choice
from dltrain_operator.patience import delays
from dltrain_operator.site import DEFAULT_IMAGE, DEFAULT_NAMESPACE
from dltrain_operator.traceless import NoDiffBase, NoProgress


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How one operator runs; every field is a flag, and most are a variable too (see `--help`)."""

    kubeconfig: Path | None = None
    """How to reach the cluster. Default: the pod's service account, else the usual kubeconfig."""
    namespaces: tuple[str, ...] = ()
    """The namespaces whose jobs are served. Default: all of them."""
    operator_namespace: str = DEFAULT_NAMESPACE
    """Where the operator runs: its master key is kept there, and jobs admit its observer from there."""
    image: str = DEFAULT_IMAGE
    """The trainer image of jobs that name none."""
    workers: int = 16
    """How many jobs are looked at at one time."""
    requests: int = 64
    """How many requests to the Kubernetes API may be under way at one time; 1,000 pods are made in batches of this."""
    health_port: int = 0
    """The port of /healthz, /readyz and /metrics; 0 for none."""
    job_metrics: int = 0
    """Of how many jobs that run /metrics tells loss, throughput and the like by name; 0 for none."""
    leader_election: bool = True
    """Whether at most one of several operators works, by a Lease in the operator's namespace."""
    identity: str = ""
    """The name by which this operator holds the Lease; the same after a restart, and no other's: a pod's name is.
    Default: a new one for each process, which makes a restart wait until the lease has expired."""
    gang_scheduler: Choice = "auto"
    """Whose PodGroups jobs of several workers get; auto for the first that the cluster serves: Kubernetes' own (feature
    gate GenericWorkload), Volcano's, or those of scheduler-plugins."""
    log_level: str = "INFO"
    """The least severe messages that are logged: DEBUG, INFO, WARNING or ERROR."""
    log_format: Literal["text", "json"] = "text"
    """How messages are written: text for people, json for collectors (one object a line)."""


def parse_arguments(arguments: Sequence[str], environment: Mapping[str, str]) -> Settings:
    """The settings that flags give, or else variables, or else the defaults.

    Args:
        arguments: the command line without the program's name; a mistake in it ends the process with a message.
        environment: the variables of the process.
    """
    given = argument_parser(environment).parse_args(arguments)
    return Settings(**vars(given))


def argument_parser(environment: Mapping[str, str]) -> argparse.ArgumentParser:
    """The command line, with the variables as defaults."""
    parser = argparse.ArgumentParser(
        prog="python -m dltrain_operator",
        description="Runs DLTrainJobs: makes their pods and keeps their status true.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    for flag, variable, default, options in FLAGS:
        help_text = f"{options['help']} [{variable}]"
        parser.add_argument(flag, default=environment.get(variable, default), **{**options, "help": help_text})
    return parser


def names_in(text: str) -> tuple[str, ...]:
    """The names in a list that is separated by commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def is_true(text: str) -> bool:
    """Whether a word means yes.

    Raises:
        ValueError: it is neither true nor false.
    """
    if text not in {"true", "false"}:
        raise ValueError(text)
    return text == "true"


FLAGS: Final[tuple[tuple[str, str, Any, dict[str, Any]], ...]] = (
    (
        "--kubeconfig",
        "DLTRAIN_KUBECONFIG",
        None,
        {"type": Path, "help": "how to reach the cluster; default: the pod's service account, else the usual file"},
    ),
    (
        "--namespace",
        "DLTRAIN_NAMESPACES",
        "",
        {"type": names_in, "dest": "namespaces", "help": "serve these, separated by commas; default: all"},
    ),
    (
        "--operator-namespace",
        "DLTRAIN_OPERATOR_NAMESPACE",
        DEFAULT_NAMESPACE,
        {"help": "where the operator runs and keeps its master key"},
    ),
    ("--image", "DLTRAIN_TRAINER_IMAGE", DEFAULT_IMAGE, {"help": "the trainer image of jobs that name none"}),
    ("--workers", "DLTRAIN_WORKERS", 16, {"type": int, "help": "jobs looked at at one time"}),
    ("--requests", "DLTRAIN_REQUESTS", 64, {"type": int, "help": "requests to Kubernetes at one time"}),
    ("--health-port", "DLTRAIN_HEALTH_PORT", 0, {"type": int, "help": "of /healthz, /readyz and /metrics; 0 for none"}),
    (
        "--job-metrics",
        "DLTRAIN_JOB_METRICS",
        0,
        {"type": int, "help": "of how many running jobs /metrics tells loss and the like by name; 0 for none"},
    ),
    (
        "--leader-election",
        "DLTRAIN_LEADER_ELECTION",
        "true",
        {"type": is_true, "metavar": "true|false", "help": "whether at most one of several operators works"},
    ),
    (
        "--identity",
        "DLTRAIN_IDENTITY",
        "",
        {"help": "how this operator signs the Lease: the pod's name, say; default: a new name for each process"},
    ),
    (
        "--gang-scheduler",
        "DLTRAIN_GANG_SCHEDULER",
        "auto",
        {"choices": get_args(Choice), "help": "whose PodGroups jobs get; auto for the first that is served"},
    ),
    (
        "--log-level",
        "DLTRAIN_LOG_LEVEL",
        "INFO",
        {"choices": ("DEBUG", "INFO", "WARNING", "ERROR"), "help": "the least severe messages to log"},
    ),
    (
        "--log-format",
        "DLTRAIN_LOG_FORMAT",
        "text",
        {"choices": ("text", "json"), "help": "text for people, json for collectors"},
    ),
)
"""(flag, variable, default, further options of the flag)."""


class EndlessDelays:
    """Seconds between attempts of kopf to reach the API: it never gives up, for whatever it would do is worse."""

    def __iter__(self) -> Iterator[float]:
        return delays()


def kopf_settings() -> kopf.OperatorSettings:
    """How kopf watches: in pages, and without leaving a trace on any object."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = True  # its watches of namespaces and definitions would need cluster-wide rights
    settings.watching.chunk_size = PAGE
    settings.queueing.idle_timeout = 0.2
    settings.persistence.diffbase_storage, settings.persistence.progress_storage = NoDiffBase(), NoProgress()
    settings.networking.error_backoffs = EndlessDelays()
    settings.process.ultimate_exiting_timeout = 20.0
    return settings
