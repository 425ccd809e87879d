"""First light: how soon a job runs and ends beside mpi-operator, what the operator writes, how much memory it takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from tests.bench import example, idle, quiet
from tests.bench.audit import counted, listed, selected
from tests.bench.contender import DLTRAIN, WORKERS, Contender
from tests.bench.figures import Figure, Target, paired, single
from tests.bench.mpi_operator import MPI_OPERATOR
from tests.bench.own_cluster import OwnCluster, build_all, own_cluster
from tests.bench.starts import Start, Starter
from tests.e2e.spaces import new_space

WARM_UP: Final = 1
"""Pairs that are not counted: the first pods of a node read the image from disk."""
PAIRS: Final = 9
SPARE_WRITES: Final = 8
"""Writes that a job may cost beside one for each of its pods."""
PROGRESS_SECONDS: Final = 10.0

Starts = dict[str, list[Start]]
"""The counted starts of each contender, by its name; those of one index make a pair."""


def prepare() -> str:
    """Build what is missing; why there will be no peer, or nothing if there will."""
    return build_all()


def run(peerless: str) -> Iterator[Figure]:
    """Bring a cluster up, measure, and remove it."""
    with own_cluster(peerless) as own:
        yield from start_figures(own)
        yield from example_figures(own)
        yield from quiet_figures(own)
        yield from memory_figures(own)


# ------------------------------------------------------------ a job that runs `hostname`
def start_figures(own: OwnCluster) -> Iterator[Figure]:
    """How long a job of two workers on two nodes takes, and how many writes."""
    contenders = (DLTRAIN,) if own.peerless else (DLTRAIN, MPI_OPERATOR)
    starters = {one.name: Starter(own.connection, one, own.namespace("starts", one.space)) for one in contenders}
    starts = run_pairs(starters)

    def figure(name: str, span: Callable[[Start], float], limit: float) -> Figure:
        ours = [span(start) for start in starts[DLTRAIN.name]]
        peers = None if own.peerless else [span(start) for start in starts[MPI_OPERATOR.name]]
        return paired(f"first-light/hostname/{name}", "s", ours, peers, target=Target(limit), note=peer_note(own))

    yield figure("create-to-ranks-run", lambda start: start.ranks_run, 1.6)
    yield figure("create-to-complete", lambda start: start.complete, 2.5)
    counts = {one.name: most_writes(own, one, starters[one.name].namespace, starts[one.name]) for one in contenders}
    (most, what), peer = counts[DLTRAIN.name], counts.get(MPI_OPERATOR.name)
    notes = [f"the most of {PAIRS} runs, deletion included: {what}", f"peer: {peer[1]}" if peer else own.peerless]
    target = Target(WORKERS + SPARE_WRITES)
    note = "; ".join(notes)
    yield single("first-light/hostname/writes", "requests", most, peer=peer and peer[0], target=target, note=note)


def run_pairs(starters: dict[str, Starter]) -> Starts:
    """Run jobs of each contender in turn, each pair in the reverse order of the one before."""
    starts: Starts = {name: [] for name in starters}
    order = list(starters)
    for pair in range(WARM_UP + PAIRS):
        for name in order:
            start = starters[name].run(f"hello-{pair}")
            print(f"pair {pair}: {name}: {start}")
            if pair >= WARM_UP:
                starts[name].append(start)
        order.reverse()
    return starts


def most_writes(own: OwnCluster, contender: Contender, namespace: str, starts: Sequence[Start]) -> tuple[int, str]:
    """The writes of the job that cost its controller most: how many, and what."""
    log = own.writes()
    lives = [selected(log, contender.user, start.begun, start.gone, namespace) for start in starts]
    most = max(lives, key=counted)
    return counted(most), listed(most)


def peer_note(own: OwnCluster) -> str:
    """Who the peer is, or why there is none."""
    return own.peerless or f"peer: {MPI_OPERATOR.name}, client limits raised, same Open MPI, sshd as root"


# ------------------------------------------------------------ the first example
def example_figures(own: OwnCluster) -> Iterator[Figure]:
    """How soon the first example trains, and what its whole life costs."""
    with new_space(own.live) as space:
        done = example.train(own.connection, space, own.cluster)
        writes = selected(own.writes(), DLTRAIN.user, done.begun, done.gone, space.name)
    yield single(
        "first-light/example-01/create-to-pods", "s", done.pods_made, note="no target; the peer has no such job"
    )
    yield single("first-light/example-01/create-to-first-step", "s", done.first_step, note="no target")
    yield single(
        "first-light/example-01/create-to-complete", "s", done.complete, note=f"no target; {done.epochs} epochs"
    )
    note = f"from creation to deletion: {listed(writes)}; progress apart: {counted(writes, 'progress')}"
    target = Target(done.workers + SPARE_WRITES)
    yield single("first-light/example-01/writes", "requests", counted(writes), target=target, note=note)


# ------------------------------------------------------------ nothing happens
def quiet_figures(own: OwnCluster) -> Iterator[Figure]:
    """What the operator writes while jobs have finished or go on."""
    with new_space(own.live) as space:
        span = quiet.be_quiet(space)
        writes = selected(own.writes(), DLTRAIN.user, span.begin, span.end)
    what = f"{quiet.FINISHED} finished and {quiet.RUNNING} running jobs, {quiet.SECONDS:g} s"
    note = f"{what}: {listed(writes)}"
    yield single("first-light/quiet/writes", "requests", counted(writes), target=Target(0), note=note)
    progress = Counter(write.name for write in writes if write.kind == "progress")
    busiest = max(progress.values(), default=0) * PROGRESS_SECONDS / (span.end - span.begin)
    note = f"of the running job with most; {sum(progress.values())} in all"
    yield single("first-light/quiet/progress-writes", "requests/10 s", busiest, target=Target(1), note=note)


# ------------------------------------------------------------ memory
def memory_figures(own: OwnCluster) -> Iterator[Figure]:
    """The operator's memory with many jobs that are suspended, at the end of all of this benchmark."""
    with new_space(own.live) as space:
        ours = idle.operator_mib(own.live, own.connection, space.name)
    peer = (
        None if own.peerless else idle.peer_mib(own.program, own.connection, own.namespace("idle", MPI_OPERATOR.space))
    )
    note = f"VmRSS with {idle.JOBS} suspended jobs, after all of the above; {peer_note(own)}"
    yield single("first-light/idle/operator-memory", "MiB", ours, peer=peer, target=Target(120), note=note)
