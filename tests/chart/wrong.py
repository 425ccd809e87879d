"""Values that the chart must refuse, each with what helm has to say of it."""

from __future__ import annotations

from typing import Any, Final

WRONG: Final[dict[str, tuple[dict[str, Any], str, str]]] = {
    "a misspelt key": ({"replica": 2}, "", "additional properties 'replica' not allowed"),
    "a misspelt key inside": ({"operator": {"replica": 2}}, "/operator", "'replica' not allowed"),
    "replicas in quotes": ({"operator": {"replicas": "1"}}, "/operator/replicas", "got string, want integer"),
    "a crowd of operators": ({"operator": {"replicas": 3}}, "/operator/replicas", "maximum: got 3"),
    "fewer operators than none": ({"operator": {"replicas": -1}}, "/operator/replicas", "minimum: got -1, want 0"),
    "namespaces as text": ({"operator": {"namespaces": "ml"}}, "/operator/namespaces", "got string, want array"),
    "a namespace in capitals": ({"operator": {"namespaces": ["ML"]}}, "/operator/namespaces/0", "'ML' does not match"),
    "a namespace twice": ({"operator": {"namespaces": ["a", "a"]}}, "/operator/namespaces", "are equal"),
    "an unknown log level": ({"operator": {"logLevel": "TRACE"}}, "/operator/logLevel", "value must be one of 'DEBUG'"),
    "a privileged port": ({"operator": {"healthPort": 80}}, "/operator/healthPort", "minimum: got 80, want 1,024"),
    "no worker at all": ({"operator": {"workers": 0}}, "/operator/workers", "minimum: got 0, want 1"),
    "memory without a unit": (
        {"operator": {"resources": {"limits": {"memory": 512}}}},
        "/operator/resources/limits/memory",
        "got number, want string",
    ),
    "memory with a wrong unit": (
        {"operator": {"resources": {"limits": {"memory": "512MB"}}}},
        "/operator/resources/limits/memory",
        "'512MB' does not match pattern",
    ),
    "a limit on the wrong level": (
        {"operator": {"resources": {"memory": "1Gi"}}},
        "/operator/resources",
        "'memory' not allowed",
    ),
    "a toleration as a mapping": ({"operator": {"tolerations": {}}}, "/operator/tolerations", "want array"),
    "a toleration of an unknown effect": (
        {"operator": {"tolerations": [{"key": "gpu", "effect": "NoStart"}]}},
        "/operator/tolerations/0/effect",
        "value must be one of 'NoSchedule'",
    ),
    "a short digest": ({"image": {"digest": "sha256:abc"}}, "/image/digest", "does not match pattern"),
    "a tag within the repository": (
        {"image": {"repository": "dltrain/operator:0.1.0"}},
        "/image/repository",
        "does not match pattern",
    ),
    "a registry with a scheme": (
        {"global": {"imageRegistry": "https://registry.example.com"}},
        "/global/imageRegistry",
        "does not match pattern",
    ),
    "an unknown pull policy": ({"image": {"pullPolicy": "Sometimes"}}, "/image/pullPolicy", "value must be one of"),
    "a number as a label": ({"commonLabels": {"cost": 7}}, "/commonLabels/cost", "got number, want string"),
    "yes in quotes": ({"crds": {"keep": "true"}}, "/crds/keep", "got string, want boolean"),
    "a priority without a value": ({"priorityClasses": [{"name": "low"}]}, "/priorityClasses/0", "'value'"),
    "a test without time": ({"test": {"timeoutSeconds": 0}}, "/test/timeoutSeconds", "minimum: got 0, want 10"),
    "a range without its length": (
        {"networkPolicy": {"apiServer": ["10.0.0.1"]}},
        "/networkPolicy/apiServer/0",
        "does not match pattern",
    ),
    "pull secrets as objects": ({"imagePullSecrets": [{"name": "x"}]}, "/imagePullSecrets/0", "want string"),
    "nothing where a group is": ({"operator": 1}, "/operator", "got number, want object"),
}
"""What is wrong -> (values, where, what helm says)."""
