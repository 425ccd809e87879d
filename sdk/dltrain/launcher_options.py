"""The options of mpirun, mpiexec, torchrun and horovodrun: how many words follow, what they mean to a job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

Options = Mapping[str, int]
"""An option without its dashes, and with - for _ -> how many words follow it."""


def taking(words: int, names: str) -> dict[str, int]:
    """Options that as many words follow."""
    return dict.fromkeys(names.split(), words)


def because(why: str, names: str) -> dict[str, str]:
    """Options that are left out for one reason."""
    return dict.fromkeys(names.split(), why)


OPEN_MPI: Final = {
    **taking(
        0,
        "allow-run-as-root bind-to-core bind-to-socket bycore bynode byslot debug-daemons display-allocation "
        "display-map display-topo do-not-resolve enable-recovery get-stack-traces index-argv-by-rank "
        "leave-session-attached merge-stderr-to-stdout nolocal nooversubscribe noprefix novm oversubscribe pernode "
        "preload-binary q quiet report-bindings report-child-jobs-separately report-state-on-timeout "
        "set-cwd-to-session-dir show-progress tag-output timestamp-output use-hwthread-cpus v verbose xml",
    ),
    **taking(
        1,
        "H N add-host add-hostfile am amca bind-to c cpu-list cpu-set cpus-per-proc cpus-per-rank default-hostfile "
        "display forward-signals host hostfile launch-agent machinefile map-by max-vm-size n np npernode npersocket "
        "ompi-server output output-directory output-filename path personality ppr prefix preload-files rank-by "
        "rankfile report-pid report-uri rf runtime-options stdin stream-buffering timeout wd wdir with-ft x xml-file",
    ),
    **taking(2, "gmca gomca gpmixmca mca omca pmixmca prtemca"),
}
"""Of Open MPI 4 and 5."""
HYDRA: Final = {
    **taking(
        0,
        "check-mpi cleanup dac debug disable-auto-cleanup disable-x enable-auto-cleanup enable-x envall envnone "
        "genvall genvnone ilp64 l nolocal ordered-output prepend-rank print-all-exitcodes print-rank-map rr "
        "silent-abort v verbose",
    ),
    **taking(
        1,
        "arch bind-to binding bootstrap bootstrap-exec bootstrap-exec-args branch-count demux dir envexcl envlist "
        "errfile errfile-pattern f genvexcl genvlist grr gtool gtoolfile gwdir host hostfile hostlist hosts "
        "hosts-group iface launcher launcher-exec localhost machine machinefile machinelist machines map-by membind n "
        "nameserver np order-nodes outfile outfile-pattern path perhost pmi-port ppn prepend-pattern profile rmk soft "
        "tmpdir tree-width umask usize wdir",
    ),
    **taking(2, "env genv"),
}
"""Of MPICH's and Intel MPI's Hydra."""
HOROVODRUN: Final = {
    **taking(
        0,
        "autotune disable-cache gloo hierarchical-allgather hierarchical-allreduce jsrun log-hide-timestamp "
        "log-with-timestamp log-without-timestamp mpi mpi-threads-disable no-autotune no-hierarchical-allgather "
        "no-hierarchical-allreduce no-log-hide-timestamp no-mpi-threads-disable no-stall-check "
        "no-timeline-mark-cycles no-torus-allreduce prefix-output-with-timestamp prefix-timestamp stall-check tcp "
        "timeline-mark-cycles torus-allreduce verbose",
    ),
    **taking(
        1,
        "H autotune-bayes-opt-max-samples autotune-gaussian-process-noise autotune-log-file "
        "autotune-steps-per-sample autotune-warmup-samples binding-args cache-capacity config-file cycle-time-ms "
        "elastic-timeout fusion-threshold-mb gloo-timeout-seconds host-discovery-script hostfile hosts i log-level "
        "max-np max-num-proc min-np min-num-proc mpi-args network-interface network-interfaces np num-nccl-streams "
        "num-proc output-filename p reset-limit slots-per-host ssh-identity-file ssh-port "
        "stall-check-shutdown-time-seconds stall-check-warning-time-seconds start-timeout thread-affinity "
        "timeline-filename",
    ),
    **taking(2, "blacklist-cooldown-range"),
}
TORCHRUN: Final = {
    **taking(0, "m module no-python run-path standalone use-env virtual-local-rank"),
    **taking(
        1,
        "duplicate-stderr-filters duplicate-stdout-filters event-log-handler local-addr local-ranks-filter log-dir "
        "log-line-prefix-template logs-specs master-addr master-port max-restarts monitor-interval nnodes node-rank "
        "nproc-per-node numa-binding r rdzv-backend rdzv-conf rdzv-endpoint rdzv-id redirects role "
        "shutdown-timeout signals-to-handle start-method t tee",
    ),
}
"""Also of `python -m torch.distributed.run` and `launch`."""
MPI: Final[Options] = {**OPEN_MPI, **HYDRA}
OF_HYDRA: Final = ("mpiexec.hydra", "mpiexec.mpich", "mpirun.mpich")
OF_OPEN_MPI: Final = ("mpiexec.openmpi", "mpirun.openmpi", "orterun", "prterun")
"""Names that only one of the two has; `mpirun` and `mpiexec` may be of either."""
LAUNCHERS: Final[Mapping[str, Options]] = {
    **dict.fromkeys(("mpirun", "mpiexec", *OF_HYDRA, *OF_OPEN_MPI), MPI),
    "horovodrun": HOROVODRUN,
    "torchrun": TORCHRUN,
}

RANKS: Final = frozenset({"n", "np", "c", "num-proc"})
"""How many ranks there are in all."""
PER_NODE: Final = frozenset({"N", "npernode", "ppn", "perhost", "grr", "nproc-per-node", "slots-per-host"})
"""How many ranks each node has."""
VARIABLES: Final = frozenset({"x", "env", "genv"})
"""A variable of the ranks, as NAME=VALUE, as NAME VALUE where two words follow, or as NAME, from the launcher's own."""
VARIABLE_LISTS: Final = frozenset({"envlist", "genvlist"})
"""The names of variables that the ranks get from the launcher, between commas."""
EXCLUDED: Final = frozenset({"envexcl", "genvexcl"})
"""The names of variables that the ranks do not get, between commas; they get all others."""
FOLDERS: Final = frozenset({"wdir", "wd", "gwdir", "dir"})
"""Where the ranks start."""

TRANSPORTS: Final = "dltrain chooses Open MPI's transports"
LOGS: Final = "`dltrain logs` and the job's storage have what ranks print"
TUNING: Final = "give the workers the HOROVOD_ variable that it stands for"
ELASTIC: Final = "see docs/elastic.md"
UNREAD: Final = "it was not looked into"
RETRIES: Final = "runPolicy.backoffLimit says how often ranks start again"
DEADLINE: Final = "runPolicy.activeDeadlineSeconds says how long a job may take"
TUNED: Final = ("autotune", "hierarchical", "stall", "timeline", "torus")
WHY_NOT: Final[Mapping[str, str]] = {
    **because(TRANSPORTS, "am amca gmca gomca gpmixmca mca omca pmixmca prtemca"),
    **because(LOGS, "errfile errfile-pattern outfile outfile-pattern output-directory output-filename"),
    **because(LOGS, "local-ranks-filter log-dir log-line-prefix-template logs-specs r redirects t tee"),
    **because(ELASTIC, "host-discovery-script max-np max-num-proc min-np min-num-proc reset-limit"),
    **because(TUNING, "cache-capacity cycle-time-ms fusion-threshold-mb log-level mpi-threads-disable"),
    **because(TUNING, "no-stall-check num-nccl-streams thread-affinity"),
    **because(TUNING, " ".join(name for name in HOROVODRUN if name.startswith(TUNED))),
    **because(UNREAD, "config-file mpi-args"),
    **because(RETRIES, "max-restarts"),
    **because(DEADLINE, "timeout"),
}
"""Options that are left out and may be missed -> why. All other known ones say what is dltrain's business."""
