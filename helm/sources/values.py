"""Everything that an installation of the chart can be told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from helm.sources.fields import (
    NAME,
    OPTIONAL_NAME,
    Group,
    Value,
    foreign,
    integer,
    quantities,
    records,
    switch,
    text,
    texts,
    words,
)
from helm.sources.monitoring import METRICS

Members = Mapping[str, Value | Group]

REPOSITORY: Final = r"^[a-z0-9]+([._/-]+[a-z0-9]+)*$"
REGISTRY: Final = r"^([a-zA-Z0-9.-]+(:[0-9]+)?(/[a-z0-9._/-]+)?)?$"
TAG: Final = r"^([a-zA-Z0-9_][a-zA-Z0-9._-]{0,127})?$"
DIGEST: Final = r"^(sha256:[0-9a-f]{64})?$"


def image(what: str, repository: str, **more: Value) -> Group:
    """The name of an image, in parts."""
    return Group(
        what,
        {
            "registry": text("Where it is pulled from; global.imageRegistry if empty.", pattern=REGISTRY),
            "repository": text("Its name in the registry.", repository, REPOSITORY),
            "tag": text("Its tag; the chart's appVersion if empty.", pattern=TAG),
            "digest": text("Its digest, sha256:...; where it is given, the tag does not count.", pattern=DIGEST),
            **more,
        },
    )


PULL: Final = text("When nodes pull it.", "IfNotPresent", choices=("Always", "IfNotPresent", "Never"))


TOLERATION: Final = Group(
    "Which taint the operator's pods tolerate.",
    {
        "key": text("The taint's key; every taint if left out, with operator Exists."),
        "operator": text("How key and value are compared.", "Equal", choices=("Equal", "Exists")),
        "value": text("The taint's value."),
        "effect": text("The taint's effect.", choices=("NoSchedule", "PreferNoSchedule", "NoExecute")),
        "tolerationSeconds": integer("How long a NoExecute taint is tolerated.", 300, 0, 2_147_483_647),
    },
)
PRIORITY: Final = Group(
    "A PriorityClass.",
    {
        "name": text("Its name.", pattern=NAME),
        "value": integer("Higher is more important.", 0, -1_000_000_000, 1_000_000_000),
        "preemptionPolicy": text(
            "Whether pods of it may take the place of others.",
            "PreemptLowerPriority",
            choices=("PreemptLowerPriority", "Never"),
        ),
        "description": text("What it is for."),
    },
    required=("name", "value"),
)

OPERATOR: Final[Members] = {
    "namespaces": texts(
        "The namespaces whose jobs are served; all if empty. With a list the operator gets rights in these only.",
        pattern=NAME,
        item="A namespace; it must exist.",
    ),
    "workers": integer("Jobs that the operator looks at at one time.", 16, 1, 1024),
    "requests": integer("Requests to the Kubernetes API that may be under way at one time.", 64, 1, 1024),
    "logLevel": text(
        "The least severe messages that are logged.", "INFO", choices=("DEBUG", "INFO", "WARNING", "ERROR")
    ),
    "logFormat": text("How messages are written: for people, or for collectors.", "json", choices=("text", "json")),
    "healthPort": integer("The port of the operator's pod where /healthz answers.", 8080, 1024, 65535),
    "resources": Group(
        "What the operator's container asks for and is limited to.",
        {
            "requests": quantities("What it is sure to get.", {"cpu": "100m", "memory": "128Mi"}),
            "limits": quantities("What it may not exceed.", {"memory": "512Mi"}),
        },
    ),
    "nodeSelector": words("Labels of the nodes that the operator, the web page and the test may run on."),
    "tolerations": records("Taints of nodes that the operator, the web page and the test tolerate.", TOLERATION),
    "affinity": foreign("Affinity of the operator's pods (core/v1 Affinity), instead of the chart's own."),
    "topologySpreadConstraints": foreign("How the operator's pods are spread (core/v1).", "array"),
    "priorityClassName": text("The PriorityClass of the operator's pods.", pattern=OPTIONAL_NAME),
    "podLabels": words("More labels of the operator's pods."),
    "podAnnotations": words("More annotations of the operator's pods."),
}


def values(replicas: int) -> Group:
    """All values.

    Args:
        replicas: how many operators the manifests run, which is also the most that can be asked for.
    """
    number = integer("Operators that run at one time; 0 leaves jobs running without one.", replicas, 0, replicas)
    return Group(
        "Values of the dltrain chart.",
        {**COMMON, "operator": Group("The operator and its pods.", {"replicas": number, **OPERATOR}), **OTHERS},
    )


COMMON: Final[Members] = {
    "global": Group(
        "What a chart above this one shares with all of its charts.",
        {
            "imageRegistry": text(
                "The registry of every image that names none: set it to your mirror where nodes cannot reach others.",
                pattern=REGISTRY,
            ),
        },
        open=True,
    ),
    "image": image("The operator's image.", "dltrain/operator", pullPolicy=PULL),
    "trainerImage": image("The image of the workers of jobs that name none.", "dltrain/trainer"),
    "imagePullSecrets": texts(
        "Secrets of the release's namespace with the registry's credentials, for the release's own pods, and for the "
        "workers of `helm test` where its job runs in that namespace.",
        pattern=NAME,
        item="A Secret of type kubernetes.io/dockerconfigjson.",
    ),
    "commonLabels": words("Labels of every object, and of the operator's pods."),
    "commonAnnotations": words("Annotations of every object, and of the operator's pods."),
}
OTHERS: Final[Members] = {
    "crds": Group(
        "The CustomResourceDefinitions.",
        {
            "install": switch(
                "Whether they belong to this release; no where someone else installs them.", default=True
            ),
            "keep": switch(
                "Whether they stay when the release is uninstalled. Without them every job is deleted.", default=True
            ),
        },
    ),
    "rbac": Group(
        "Rights.",
        {
            "create": switch("Whether the operator's roles and bindings are made.", default=True),
            "userRoles": switch(
                "Whether the built-in roles view, edit and admin are given DLTrainJobs, by aggregation.",
                default=True,
            ),
        },
    ),
    "serviceAccount": Group(
        "The operator's ServiceAccount.",
        {
            "create": switch("Whether it is made.", default=True),
            "name": text("Its name; dltrain-operator if empty.", pattern=OPTIONAL_NAME),
            "annotations": words("Its annotations."),
        },
    ),
    "networkPolicy": Group(
        "NetworkPolicies of the operator's pods, of the web page and of the test.",
        {
            "enabled": switch("Whether there are any.", default=True),
            "metricsFrom": foreign(
                "Who may reach the metrics (networking.k8s.io/v1 NetworkPolicyPeer); anyone if empty.", "array"
            ),
            "apiServer": texts(
                "Address ranges of the API server, as in 10.0.0.0/28, and of the Service kubernetes, which some "
                "plugins (the VPC CNI of EKS) see instead; any address if empty.",
                pattern=r"^[0-9a-fA-F.:]+/[0-9]{1,3}$",
                item="A range in CIDR notation.",
            ),
        },
    ),
    "podDisruptionBudget": Group(
        "The PodDisruptionBudget of the operator's pods.",
        {
            "enabled": switch("Whether there is one, where operator.replicas is 2.", default=True),
        },
    ),
    "priorityClasses": records("PriorityClasses to make, for jobs to name.", PRIORITY),
    "metrics": METRICS,
    "webPage": Group(
        "A read-only web page of jobs, reached by `kubectl port-forward`.",
        {
            "enabled": switch("Whether it is installed.", default=False),
            "namespace": text("The namespace whose jobs it shows; all if empty.", pattern=OPTIONAL_NAME),
            "resources": Group(
                "What its container asks for and is limited to.",
                {
                    "requests": quantities("What it is sure to get.", {"cpu": "10m", "memory": "128Mi"}),
                    "limits": quantities("What it may not exceed.", {"memory": "256Mi"}),
                },
            ),
        },
    ),
    "test": Group(
        "What `helm test` runs: it submits a small job and waits until it is complete.",
        {
            "enabled": switch("Whether there is a test.", default=True),
            "namespace": text(
                "Where its job runs; the first of operator.namespaces, else the release's own, if empty.",
                pattern=OPTIONAL_NAME,
            ),
            "workers": integer("Worker pods of its job.", 2, 1, 64),
            "gpus": integer("GPUs of each of these pods.", 0, 0, 16),
            "timeoutSeconds": integer("How long it may take.", 600, 10, 86_400),
            "jobTemplate": foreign("The workers' pod template, as in spec.workers.template of a job."),
        },
    ),
    "extraObjects": foreign("More Kubernetes objects to install with the release.", "array"),
}
