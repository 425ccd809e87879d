"""Hypothesis strategies: profiles, and what pod templates may try."""

from __future__ import annotations

from typing import Any, Final

from hypothesis import strategies as st

from dltrain.api.parse_profile import parse_profile
from dltrain.api.profile import DLTrainProfile
from tests.sdk.fields import NAMES, some

GPU: Final = "nvidia.com/gpu"
AMOUNTS: Final = some(**{"cpu": st.integers(1, 64), "memory": st.sampled_from(["8Gi", "64Gi"]), GPU: st.integers(0, 8)})
SCHEDULING: Final = some(
    priorityClassName=NAMES,
    topologyKey=st.sampled_from(["topology.kubernetes.io/zone", "rack"]),
    queueName=NAMES,
    sharedClaims=st.lists(st.builds(lambda name: {"name": name, "claim": name}, NAMES), max_size=1),
)
LEVELS: Final = st.sampled_from(["restricted", "baseline", "privileged"])
SPECS: Final = some(
    default=st.booleans(),
    image=st.sampled_from(["a:1", "b:2"]),
    resources=some(limits=AMOUNTS),
    nodeSelector=st.dictionaries(NAMES, NAMES, max_size=2),
    tolerations=st.lists(some(key=NAMES, operator=st.just("Exists")), max_size=2),
    environment=st.dictionaries(st.from_regex(r"[A-Z_]{1,8}", fullmatch=True), st.text("ab", max_size=3), max_size=3),
    sharedMemory=st.sampled_from(["1Gi", 1000]),
    storage=st.builds(lambda name: {"claimName": name}, NAMES),
    scheduling=SCHEDULING,
    template=some(metadata=some(annotations=st.dictionaries(NAMES, NAMES, max_size=2))),
    allow=some(podSecurity=LEVELS),
)
PROFILES: Final[st.SearchStrategy[DLTrainProfile]] = st.builds(
    lambda spec: parse_profile({"metadata": {"name": "p"}, "spec": spec}), SPECS
)
SECURITY: Final = some(
    privileged=st.booleans(),
    allowPrivilegeEscalation=st.booleans(),
    runAsNonRoot=st.booleans(),
    runAsUser=st.sampled_from([0, 1000, 65534]),
    capabilities=some(
        add=st.lists(st.sampled_from(["NET_BIND_SERVICE", "CHOWN", "SYS_ADMIN", "IPC_LOCK"]), max_size=2, unique=True),
        drop=st.sampled_from([[], ["ALL"], ["CHOWN"]]),
    ),
    seccompProfile=st.sampled_from([{"type": "RuntimeDefault"}, {"type": "Unconfined"}]),
    appArmorProfile=st.sampled_from([{"type": "RuntimeDefault"}, {"type": "Unconfined"}]),
    seLinuxOptions=st.sampled_from([{"type": "container_t"}, {"type": "spc_t"}, {"user": "root"}, {"role": "r"}]),
    procMount=st.just("Default"),
)
POD_CONTEXT: Final = some(
    runAsNonRoot=st.booleans() | st.none(),
    runAsUser=st.sampled_from([0, 2000]),
    seccompProfile=st.sampled_from([{"type": "RuntimeDefault"}, {"type": "Unconfined"}, None]),
    seLinuxOptions=st.sampled_from([{"type": "container_init_t"}, {"type": "spc_t"}, {"user": "root"}]),
    sysctls=st.lists(
        st.sampled_from(["net.ipv4.tcp_rmem", "kernel.msgmax"]).map(lambda name: {"name": name, "value": "1"}),
        max_size=1,
    ),
)
HANDLERS: Final = st.sampled_from([{"port": 80}, {"port": 80, "host": "10.0.0.1"}]).map(lambda http: {"httpGet": http})
VOLUMES: Final[st.SearchStrategy[list[dict[str, Any]]]] = st.lists(
    st.sampled_from(
        [
            {"name": "a", "emptyDir": {}},
            {"name": "b", "hostPath": {"path": "/etc"}},
            {"name": "c", "nfs": {"server": "nas", "path": "/x"}},
            {"name": "d", "persistentVolumeClaim": {"claimName": "x"}},
            {"name": "e"},
        ]
    ),
    max_size=2,
    unique_by=lambda volume: str(volume["name"]),
)


def containers(name: str) -> st.SearchStrategy[dict[str, Any]]:
    """A container of that name."""
    fields = some(
        securityContext=SECURITY,
        ports=st.sampled_from([[{"containerPort": 80}], [{"containerPort": 80, "hostPort": 80}]]),
        livenessProbe=HANDLERS,
        lifecycle=st.builds(lambda handler: {"preStop": handler}, HANDLERS),
    )
    return st.builds(lambda rest: {"name": name, "image": "x", **rest}, fields)


TEMPLATES: Final = some(
    metadata=some(
        annotations=st.sampled_from(
            [
                {"container.apparmor.security.beta.kubernetes.io/worker": value}
                for value in ("unconfined", "localhost/p")
            ]
        )
    ),
    spec=some(
        hostPID=st.booleans(),
        hostIPC=st.booleans(),
        securityContext=POD_CONTEXT,
        containers=st.lists(
            st.one_of(containers("worker"), containers("side")), max_size=2, unique_by=lambda each: str(each["name"])
        ),
        initContainers=st.lists(
            containers("init").map(lambda each: each | {"lifecycle": None, "livenessProbe": None}), max_size=1
        ),
        volumes=VOLUMES,
    ),
)
