"""The tables of `dltrain top`, pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dltrain.api.job import DLTrainJob
from dltrain.api.progress import Bandwidth, Progress, RankUsage, Shares
from dltrain.cli.catalogue import binary
from dltrain.cli.render import aligned
from dltrain.resolution import resolved
from dltrain.usage import PodUsage

JOB_COLUMNS = ("NAME", "RANKS", "STAGE", "STEP", "SAMPLES/S", "COMPUTE", "WAIT", "DATA", "ETA")
POD_COLUMNS = ("POD", "CPU", "MEMORY")
RANK_COLUMNS = ("RANK", "COMPUTE", "MEMORY", "GPU MEMORY")


def jobs_table(jobs: Iterable[DLTrainJob]) -> str:
    """Jobs with their throughput and time split."""
    return aligned([JOB_COLUMNS, *map(job_row, jobs)])


def job_tables(job: DLTrainJob, pods: Sequence[PodUsage]) -> str:
    """One job, its ranks, their network and its pods."""
    progress = job.status.progress or Progress()
    of_ranks = ranks_table(progress.ranks) if progress.ranks else ""
    network = network_line(progress.bandwidth) if progress.bandwidth else ""
    of_pods = pods_table(pods) if pods else "no figures of pods: the cluster has no metrics server"
    return "\n\n".join(filter(None, [jobs_table([job]), of_ranks, network, of_pods]))


def job_row(job: DLTrainJob) -> tuple[str, ...]:
    """A job's line."""
    progress = job.status.progress or Progress()
    split = progress.time_split
    shares = ("", "", "") if split is None else parts(split)
    speed = "" if progress.samples_per_second is None else f"{progress.samples_per_second:,.0f}"
    step = "" if progress.step is None else f"{progress.step}/{progress.steps or '?'}"
    ranks = str(resolved(job).spec.workers.world_size)
    return (job.name, ranks, progress.stage, step, speed, *shares, progress.eta or "")


def parts(split: Shares) -> tuple[str, str, str]:
    """A time split in percent."""
    return (f"{split.compute:.0%}", f"{split.communication:.0%}", f"{split.data:.0%}")


def network_line(bandwidth: Bandwidth) -> str:
    """How fast the ranks exchange data, and who is slow."""
    pairs = f", {bandwidth.pairs:g} GB/s between pods" if bandwidth.pairs is not None else ""
    slow = f"; slow: {', '.join(bandwidth.slow)}" if bandwidth.slow else ""
    return f"network before the first step: allreduce {bandwidth.allreduce:g} GB/s{pairs}{slow}"


def ranks_table(ranks: Sequence[RankUsage]) -> str:
    """Ranks with what they use."""
    return aligned([RANK_COLUMNS, *map(rank_row, ranks)])


def rank_row(rank: RankUsage) -> tuple[str, ...]:
    """A rank's line."""
    of_gpu = "" if rank.gpu_memory_mebibytes is None else binary(rank.gpu_memory_mebibytes << 20)
    return (str(rank.rank), f"{rank.compute_seconds:.1f} s", binary(rank.memory_mebibytes << 20), of_gpu)


def pods_table(pods: Sequence[PodUsage]) -> str:
    """Pods with what they use."""
    return aligned([POD_COLUMNS, *((pod.name, f"{pod.cpu:.2f}", binary(pod.memory)) for pod in pods)])
