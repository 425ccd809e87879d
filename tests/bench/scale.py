"""How soon many jobs have their pods, beside plain Indexed Jobs; what thousands of idle jobs cost."""

from __future__ import annotations

import json
import os
import ssl
import threading
import time
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from statistics import quantiles
from typing import Any, Final

from dltrain import names
from tests.apiserver import TOKEN, ApiServer, programs_folder
from tests.bench.contender import dltrain_job
from tests.bench.failure import BenchFailure
from tests.bench.figures import Figure, Target, single
from tests.bench.scale_server import CONTROLLER_MANAGER, Running, api_server, job_controller, operator
from tests.controller.cluster import difference, writes

WORKERS: Final = 4
SIZES: Final = tuple(int(size) for size in os.environ.get("BENCH_JOBS", "200,1000").split(","))
IDLE: Final = int(os.environ.get("BENCH_IDLE", "10000"))
LIMITS: Final = {"default": (20, 30, 0.2), "raised": (200, 400, 1.2)}
"""The floor's client limits -> requests a second, burst, and the ratio that is to be reached."""
SUBMITTERS: Final = 8
WAIT_SECONDS: Final = 900.0
QUIET_SECONDS: Final = 30.0
METADATA_ONLY: Final = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"


def indexed_job(name: str) -> dict[str, Any]:
    """The floor: a Job of Kubernetes' own with as many pods."""
    container = {"name": "worker", "image": "trainer", "command": ["hostname"]}
    template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    spec = {"completions": WORKERS, "parallelism": WORKERS, "completionMode": "Indexed", "template": template}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": spec}


def our_job(name: str) -> dict[str, Any]:
    """The same of ours."""
    return dltrain_job(name, replicas=WORKERS)


@dataclass(frozen=True)
class Kind:
    """One of two kinds of jobs."""

    path: str
    make: Callable[[str], dict[str, Any]]
    label: str
    """Of its pods: the job's name."""


OURS: Final = Kind(f"/apis/{names.API_VERSION}/namespaces/{{}}/{names.PLURAL}", our_job, names.JOB_LABEL)
FLOOR: Final = Kind("/apis/batch/v1/namespaces/{}/jobs", indexed_job, "batch.kubernetes.io/job-name")


@dataclass
class PodWatch:
    """Notes when the last pod of each job appears."""

    server: ApiServer
    namespace: str
    label: str
    seen: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def complete(self) -> Mapping[str, float]:
        """Job -> when all its pods were there."""
        return {job: times[WORKERS - 1] for job, times in list(self.seen.items()) if len(times) >= WORKERS}

    def run(self) -> None:
        """Watch until the server closes the connection."""
        address = f"{self.server.url}/api/v1/namespaces/{self.namespace}/pods?watch=true"
        headers = {"Authorization": f"Bearer {TOKEN}", "Accept": METADATA_ONLY}
        context = ssl.create_default_context(cafile=self.server.certificate)
        with urllib.request.urlopen(urllib.request.Request(address, headers=headers), context=context) as events:
            for line in events:
                event = json.loads(line)
                if event["type"] == "ADDED":
                    self.seen[event["object"]["metadata"]["labels"][self.label]].append(time.monotonic())


def burst(server: ApiServer, kind: Kind, jobs: int) -> list[float]:
    """Create jobs as fast as the API server takes them; the seconds from each creation until its pods exist.

    Raises:
        BenchFailure: not all got their pods.
    """
    namespace = server.make_namespace("bench-")
    watch = PodWatch(server, namespace, kind.label)
    threading.Thread(target=watch.run, daemon=True).start()
    made: dict[str, float] = {}

    def submit(index: int) -> None:
        name = f"job-{index}"
        made[name] = time.monotonic()
        server.request("POST", kind.path.format(namespace), kind.make(name))

    with ThreadPoolExecutor(SUBMITTERS) as pool:
        list(pool.map(submit, range(jobs)))
    deadline = time.monotonic() + WAIT_SECONDS
    while len(done := watch.complete()) < jobs:
        if time.monotonic() > deadline:
            raise BenchFailure(f"{len(done)} of {jobs} jobs have their pods after {WAIT_SECONDS:g} s")
        time.sleep(0.05)
    return [done[name] - begin for name, begin in made.items()]


def percentile(values: list[float], percent: int) -> float:
    """A percentile."""
    return quantiles(values, n=100, method="inclusive")[percent - 1]


@dataclass(frozen=True)
class Run:
    """What one burst of ours and one of the floor came to."""

    ours: list[float]
    floor: list[float]
    cpu_seconds: float
    writes: int


def compare(limits: tuple[int, int, float], jobs: int) -> Run:
    """One burst of each kind on the same, fresh API server; each has the machine to itself."""
    with api_server() as server:
        with operator(server) as process:
            before, cpu = writes(server), process.cpu_seconds
            ours = burst(server, OURS, jobs)
            spent = process.cpu_seconds - cpu
            made = sum(difference(before, writes(server)).values()) - jobs  # the jobs themselves are ours to submit
        with job_controller(server, *limits[:2]):
            floor = burst(server, FLOOR, jobs)
    return Run(ours, floor, spent, made)


def figures_of(name: str, jobs: int, run: Run, ratio: float) -> Iterator[Figure]:
    """The figures of one comparison."""
    title = f"{jobs} jobs x {WORKERS} workers, create to all pods created"
    note = f"peer: Indexed Jobs at kube-controller-manager's {name} client limits"
    for percent in (50, 99):
        target = Target(ratio, of="ratio") if percent == 99 else None
        ours, floor = percentile(run.ours, percent), percentile(run.floor, percent)
        yield single(f"{title}, p{percent} ({name})", "s", ours, peer=floor, target=target, note=note)
    yield single(
        f"{jobs} jobs: CPU of the operator per job until its pods exist ({name})", "ms", 1000 * run.cpu_seconds / jobs
    )
    limit = Target(WORKERS + 8)
    yield single(f"{jobs} jobs: API writes per job until its pods exist ({name})", "", run.writes / jobs, target=limit)


def idle_figures() -> Iterator[Figure]:
    """What an operator costs that has thousands of jobs and nothing to do."""
    with api_server() as server:
        namespace = server.make_namespace("bench-")
        path = OURS.path.format(namespace)

        def submit(index: int) -> None:
            server.request("POST", path, dltrain_job(f"idle-{index}", replicas=WORKERS, suspend=True))

        with ThreadPoolExecutor(SUBMITTERS) as pool:
            list(pool.map(submit, range(IDLE)))
        with operator(server) as process:
            settle(server, process)
        with operator(server) as process:
            seconds = process.await_log("jobs are served from now on")
            settle(server, process)
            yield from rest(server, process, seconds)


def settle(server: ApiServer, process: Running) -> None:
    """Wait until the operator has nothing more to write, for two seconds."""
    deadline, before = time.monotonic() + WAIT_SECONDS, (-1, -1.0)
    while (now := (sum(writes(server).values()), round(process.cpu_seconds, 1))) != before:
        if time.monotonic() > deadline:
            raise BenchFailure(f"the operator is not at rest after {WAIT_SECONDS:g} s")
        before = now
        time.sleep(2)


def rest(server: ApiServer, process: Running, seconds: float) -> Iterator[Figure]:
    """The figures of an operator at rest."""
    before, cpu = writes(server), process.cpu_seconds
    time.sleep(QUIET_SECONDS)
    used = (process.cpu_seconds - cpu) / QUIET_SECONDS
    made = sum(difference(before, writes(server)).values())
    title = f"{IDLE} suspended jobs"
    yield single(f"{title}: start of the process to synced", "s", seconds, target=Target(8.0))
    yield single(f"{title}: resident memory of the operator", "MiB", process.resident_mib, target=Target(120.0))
    yield single(f"{title}: share of one core at rest", "", used, target=Target(0.01))
    yield single(f"{title}: API writes in {QUIET_SECONDS:g} s, the lease apart", "", made, target=Target(0))


def prepare() -> None:
    """See that the programs are there.

    Raises:
        BenchFailure: one is missing.
    """
    for program in ("etcd", "kube-apiserver", CONTROLLER_MANAGER):
        if not (programs_folder() / program).exists():
            raise BenchFailure(f"needs {program} in {programs_folder()}: make cluster-build")


def run(_: None) -> Iterator[Figure]:
    """All figures."""
    for jobs in SIZES:
        for name, limits in LIMITS.items():
            yield from figures_of(name, jobs, compare(limits, jobs), limits[2])
    if IDLE:
        yield from idle_figures()
