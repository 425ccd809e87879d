"""What is read from command lines with launchers: what each rank runs, or that it cannot be told."""

import shlex

import pytest

from dltrain.errors import SpecError
from dltrain.launchers import Launch, ranks_command

TRAIN = ("python", "train.py")
LOGS = "was left out: `dltrain logs` and the job's storage have what ranks print"


def plain(*words: str, notes: tuple[str, ...] = ()) -> Launch:
    """What is started without a launcher."""
    return Launch(words, notes=notes, passes_all=True)


def torch(*words: str, notes: tuple[str, ...] = (), per_node: str = "") -> Launch:
    """What torchrun starts with Python."""
    return Launch(("python3", *words), "torchrun", notes=notes, per_node=per_node, passes_all=True)


@pytest.mark.parametrize(
    ("line", "launch"),
    [
        ("python train.py --lr 1", plain("python", "train.py", "--lr", "1")),
        ("mpirun --np 4 python train.py", Launch(TRAIN, "mpirun", ranks="4")),
        ("/opt/mpi/bin/mpirun -n 4 train.py -x 1", Launch(("python3", "train.py", "-x", "1"), "mpirun", ranks="4")),
        ("mpirun --allow-run-as-root --bind-to none --tag-output python train.py", Launch(TRAIN, "mpirun")),
        (
            "mpirun -x A=1 -x B --mca pml ob1 --foo=1 python train.py",
            Launch(
                TRAIN,
                "mpirun",
                variables=(("A", "1"),),
                passed=("B",),
                notes=(
                    "--mca pml ob1 was left out: dltrain chooses Open MPI's transports",
                    "--foo=1 was left out: dltrain does not know it",
                ),
            ),
        ),
        ("mpirun -npernode 8 -wdir /app python train.py", Launch(TRAIN, "mpirun", per_node="8", folder="/app")),
        ("mpirun --pernode python train.py", Launch(TRAIN, "mpirun", per_node="1")),
        ("mpirun --map-by ppr:4:node:PE=2 python train.py", Launch(TRAIN, "mpirun", per_node="4")),
        (
            "mpiexec -genv A 1 -ppn 1 python train.py",
            Launch(TRAIN, "mpiexec", variables=(("A", "1"),), per_node="1", passes_all=True),
        ),
        (
            "mpiexec.hydra -env A=1 -genvlist B,C -f hosts -n 2 python train.py",
            Launch(TRAIN, "mpiexec.hydra", variables=(("A", "1"),), passed=("B", "C"), ranks="2"),
        ),
        (
            "mpirun -np 2 bash -c 'echo $OMPI_COMM_WORLD_RANK'",
            Launch(("bash", "-c", "echo $OMPI_COMM_WORLD_RANK"), "mpirun", ranks="2"),
        ),
        (
            "horovodrun -np 4 -H a:2,b:2 --fusion-threshold-mb 32 --blacklist-cooldown-range 1 2 python train.py",
            Launch(
                TRAIN,
                "horovodrun",
                ranks="4",
                passes_all=True,
                notes=(
                    "--fusion-threshold-mb 32 was left out: give the workers the HOROVOD_ variable that it stands for",
                ),
            ),
        ),
        ("torchrun --nproc_per_node=8 -m pkg.train --lr 1", torch("-m", "pkg.train", "--lr", "1", per_node="8")),
        ("torchrun --nproc-per-node 8 --module pkg.train", torch("-m", "pkg.train", per_node="8")),
        ("torchrun --nproc_per_node=gpu train.py", torch("train.py", per_node="gpu")),
        ("torchrun --log-dir /logs train.py", torch("train.py", notes=(f"--log-dir /logs {LOGS}",))),
        ("torchrun --log_dir /logs -t 3 train", torch("train", notes=(f"--log_dir /logs {LOGS}", f"-t 3 {LOGS}"))),
        ("torchrun --rdzv-conf a=b --rdzv_backend c10d train.py", torch("train.py")),
        ("torchrun --role trainer --monitor_interval 5 --local-addr 10.0.0.1 train.py", torch("train.py")),
        (
            "torchrun --max_restarts=3 --redirects 3 train.py",
            torch(
                "train.py",
                notes=(
                    "--max_restarts=3 was left out: runPolicy.backoffLimit says how often ranks start again",
                    f"--redirects 3 {LOGS}",
                ),
            ),
        ),
        ("torchrun --no-python ./train --lr 1", Launch(("./train", "--lr", "1"), "torchrun", passes_all=True)),
        ("python3 -u -m torch.distributed.run --nnodes 2 train.py", torch("train.py")),
        ("python -m torch.distributed.launch --use_env train.py", torch("train.py")),
        ("python3 -um torch.distributed.run train.py", torch("train.py")),
        ("python3 -mtorch.distributed.run --nnodes 2 train.py", torch("train.py")),
        ("python -W ignore -m torch.distributed.run --nproc_per_node=8 train.py", torch("train.py", per_node="8")),
        ("python -Wignore -uX faulthandler -m torch.distributed.run train.py", torch("train.py")),
        ("python -W ignore -m pkg.train", plain("python", "-W", "ignore", "-m", "pkg.train")),
        ("python -uc 'print(1)'", plain("python", "-uc", "print(1)")),
        ("python -m", plain("python", "-m")),
        (
            "bash scripts/train.sh a b",
            plain(
                *("bash", "scripts/train.sh", "a", "b"),
                notes=("bash scripts/train.sh a b was not looked into: ranks may not call mpirun or torchrun",),
            ),
        ),
        ("sh -c 'exec torchrun train.py --lr 1'", torch("train.py", "--lr", "1")),
        ("/bin/bash -euo pipefail -c 'mpirun -np 2 \\\n python train.py'", Launch(TRAIN, "mpirun", ranks="2")),
        (
            """bash -lc 'python train.py --sizes "[1, 2]"'""",
            plain("python", "train.py", "--sizes", "[1, 2]"),
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_command_line_is_taken_apart(line: str, launch: Launch) -> None:
    assert ranks_command(shlex.split(line)) == launch


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("python train.py --launcher torchrun", "torchrun"),
        ("python -u train.py --launcher torchrun --lr 1", "torchrun"),
        ("python3 -um pkg.train --strategy deepspeed --lr 1", "deepspeed"),
        ("python -m pkg.train torchrun", "torchrun"),
        ("python -c 'import accelerate' --lr 1", "import accelerate"),
        ("./train.py --mpi /usr/bin/mpirun --lr 1", "/usr/bin/mpirun"),
    ],
)
def test_a_launchers_name_among_the_arguments_of_a_script_is_kept_and_told(line: str, said: str) -> None:
    note = f"{said} was taken for an argument only: ranks may not call mpirun or torchrun"
    assert ranks_command(shlex.split(line)) == plain(*shlex.split(line), notes=(note,))


def test_a_shell_script_with_a_launchers_name_among_its_arguments_has_both_notes() -> None:
    words = ("bash", "-x", "train.sh", "--launcher", "torchrun")
    assert ranks_command(words).notes == (
        "bash -x train.sh --launcher torchrun was not looked into: ranks may not call mpirun or torchrun",
        "torchrun was taken for an argument only: ranks may not call mpirun or torchrun",
    )


@pytest.mark.parametrize(
    "line",
    [
        "python train.py --launcher=torchrun",
        "python train.py launcher=torchrun",
        "python deepspeed/train.py",
        "python -m accelerated.train",
        "python train.py --deepspeed ds.json",
    ],
)
def test_what_only_looks_like_a_launcher_is_kept_without_a_note(line: str) -> None:
    assert ranks_command(line.split()) == plain(*line.split())


@pytest.mark.parametrize(
    ("line", "every"),
    [
        ("mpirun python train.py", False),
        ("mpirun -x A python train.py", False),
        ("mpirun.openmpi python train.py", False),
        ("mpiexec.hydra python train.py", True),
        ("mpirun.mpich python train.py", True),
        ("mpirun -genv A 1 python train.py", True),
        ("mpiexec -genvall python train.py", True),
        ("mpiexec -envall python train.py", True),
        ("mpiexec.hydra -genvnone python train.py", False),
        ("mpiexec.hydra -envnone -genvall python train.py", False),
        ("mpiexec.hydra -genvnone -envall python train.py", True),
        ("mpiexec.hydra -genvlist A,B python train.py", False),
        ("mpiexec.hydra -envlist A python train.py", False),
        ("mpiexec -genvexcl A python train.py", True),
        ("horovodrun -np 2 python train.py", True),
    ],
)
def test_the_launcher_says_whether_ranks_get_its_whole_environment(line: str, every: bool) -> None:
    assert ranks_command(line.split()).passes_all is every


@pytest.mark.parametrize(("line", "every"), [("mpirun a", True), ("mpirun -genvnone a", False)])
def test_hydras_mpirun_passes_all_on_unless_told_otherwise(line: str, every: bool) -> None:
    assert ranks_command(line.split(), hydra=True).passes_all is every


SHELL = "is a shell script of several commands, or has variables, redirections or patterns"
BY_HAND = "write the job's `command` by hand: what each rank runs, without mpirun or torchrun"


@pytest.mark.parametrize(
    "line",
    [
        "cd /data && torchrun train.py",
        "mpirun python a.py; echo done",
        "set -e\ntorchrun train.py",
        "torchrun train.py --lr $LR",
        "torchrun train.py > /out.txt",
        "torchrun train.py < /in.txt",
        "torchrun train.py | tee log",
        "torchrun train.py &",
        "torchrun train.py --lr `cat lr`",
        "python train.py data/*.csv",
        "python train.py data/?.csv",
        "python train.py data/[ab].csv",
        "python train.py data/{a,b}.csv",
        "python train.py ~/data",
        "python train.py # at last",
        "LR=1 python train.py",
        "exec LR=1 python train.py",
        "eval 'torchrun train.py'",
    ],
)
def test_what_needs_a_shell_is_not_guessed_at(line: str) -> None:
    with pytest.raises(SpecError) as caught:
        ranks_command(["bash", "-c", line])
    assert str(caught.value) == f"spec.command: {SHELL} (got {line}); {BY_HAND}"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("mpirun --foo 1 python train.py", "has a launcher's option that dltrain does not know (got --foo)"),
        ("torchrun --np 4 train.py", "has a launcher's option that dltrain does not know (got --np)"),
        ("torchrun -- train.py", "has a launcher's option that dltrain does not know (got --)"),
        ("mpiexec -configfile jobs", "has a launcher's option that dltrain does not know (got -configfile)"),
        ("mpirun -np", "starts no program (got mpirun -np)"),
        ("mpirun -n 1 a : -n 2 b", "starts several programs (got a : -n 2 b)"),
        ("accelerate launch t.py", "has a launcher that cannot be taken out of it (got accelerate launch t.py)"),
        ("env A=1 mpirun t.py", "has a launcher that cannot be taken out of it (got env A=1 mpirun t.py)"),
    ],
)
def test_what_a_launcher_does_is_not_guessed_at(line: str, said: str) -> None:
    with pytest.raises(SpecError) as caught:
        ranks_command(line.split())
    assert str(caught.value) == f"spec.command: {said}; {BY_HAND}"


@pytest.mark.parametrize(
    "line",
    [
        "uv run torchrun train.py",
        "conda run -n env mpirun -np 2 a",
        "poetry run accelerate launch train.py",
        "mpirun_rsh -np 2 -hostfile hosts python train.py",
        "jsrun -n 2 python train.py",
        "gosu user /usr/bin/mpirun -np 2 a",
        "nsys profile -o out torchrun train.py",
        "tini -- mpirun -np 2 python train.py",
        "tini -s mpirun -np 2 python train.py",
        "dumb-init horovodrun -np 2 a",
        "dumb-init bash -c 'exec mpirun -np 2 a'",
        "tini -- sh -c 'cd /app;torchrun train.py'",
        "/entrypoint.sh mpirun -np 2 a",
        "bash entrypoint.sh mpirun -np 2 a",
        "python /usr/bin/torchrun train.py",
        "python -W ignore /usr/bin/torchrun a.py",
        "python wrap.py -- mpirun -np 2 a",
        "python wrap.py --tries=2 mpirun -np 2 a",
        "python -m wrap torchrun train.py",
        "python -m accelerate.commands.launch a.py",
        "python -um deepspeed.launcher.runner a.py",
        "python -m horovod.runner.launch -np 2 a.py",
        "python -X dev -m accelerate launch a.py",
        "uv run python -m torch.distributed.run a.py",
        "python -m debugpy --wait-for-client -m torch.distributed.run",
        "nsys profile python -umtorch.distributed.run",
    ],
)
def test_a_launcher_behind_another_program_is_refused(line: str) -> None:
    words = shlex.split(line)
    with pytest.raises(SpecError) as caught:
        ranks_command(words)
    said = f"has a launcher that cannot be taken out of it (got {' '.join(words)[:60]})"
    assert str(caught.value) == f"spec.command: {said}; {BY_HAND}"


def test_a_quotation_without_an_end_is_refused() -> None:
    with pytest.raises(SpecError) as caught:
        ranks_command(["sh", "-c", "torchrun train.py --name 'a"])
    assert str(caught.value) == (
        "spec.command: is no line that a shell understands: No closing quotation "
        f"(got torchrun train.py --name 'a); {BY_HAND}"
    )


@pytest.mark.parametrize("words", [[], ["sh", "-c"], ["sh", "-c", " "]], ids=str)
def test_without_a_program_there_is_no_command(words: list[str]) -> None:
    with pytest.raises(SpecError) as caught:
        ranks_command(words)
    assert str(caught.value) == (
        "spec.command: cannot be told from the job; write the program that the image would run"
    )
