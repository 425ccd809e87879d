"""Open MPI's command lines: what is run, and what a member agrees to run."""

from pathlib import Path

import pytest

from dltrain_agent.launch import RefusedLineError, mpirun_command, program, proxy_command, prted_command

EXPORTS = (
    "PRTE_PREFIX=/opt/venv;export PRTE_PREFIX;LD_LIBRARY_PATH=/opt/venv/lib:$LD_LIBRARY_PATH;export LD_LIBRARY_PATH;"
)
OPTIONS = '--leave-session-attached --prtemca ess "env" --prtemca prte_hnp_uri "prterun-a-1@0.0;tcp://10.0.0.1:5000:24"'


def test_mpirun_starts_one_proxy_a_slot_in_the_order_of_the_workers() -> None:
    socket = Path("/tmp/x/proxies")
    proxy = proxy_command(socket)
    assert mpirun_command(["tiny-0", "tiny-1"], 2, socket, fabric={"pml": "ob1"}) == [
        program("mpirun"),
        *("-np", "4", "--host", "tiny-0:2,tiny-1:2", "--map-by", "slot", "--bind-to", "none"),
        *("--prtemca", "plm_ssh_agent", " ".join([*proxy, "daemon"])),
        *("--prtemca", "plm_ssh_no_tree_spawn", "1", "--leave-session-attached", "--mca", "pml", "ob1"),
        *proxy,
        "rank",
    ]


@pytest.mark.parametrize(
    ("start", "end"),
    [
        pytest.param("prted ", "", id="by name"),
        pytest.param("/opt/venv/bin/prted ", "", id="by path"),
        pytest.param(EXPORTS + "/opt/venv/bin/prted ", "", id="after exports"),
        pytest.param(f"( test ! -r ./.profile || . ./.profile; {EXPORTS}/bin/prted ", " )", id="for a plain sh"),
    ],
)
def test_a_prted_line_runs_the_members_own_prted_with_the_lines_options(start: str, end: str) -> None:
    assert prted_command(start + OPTIONS + end) == [
        program("prted"),
        "--leave-session-attached",
        *("--prtemca", "ess", "env"),
        *("--prtemca", "prte_hnp_uri", "prterun-a-1@0.0;tcp://10.0.0.1:5000:24"),
    ]


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("", id="nothing"),
        pytest.param("rm -rf /", id="another program"),
        pytest.param("/bin/sh -c prted", id="a shell"),
        pytest.param("curl x | prted", id="a pipe"),
        pytest.param(f"{EXPORTS} touch /tmp/x; prted {OPTIONS}", id="a command before it"),
        pytest.param(f"prted {OPTIONS}; touch /tmp/x", id="a command after it"),
        pytest.param(f"( test ! -r ./.profile || . ./x; prted {OPTIONS} )", id="another profile"),
        pytest.param(f"prted {OPTIONS} )", id="a parenthesis that nothing opened"),
        pytest.param("prted --prtemca ess", id="a setting without a value"),
        pytest.param("prted --app /tmp/x", id="an option that mpirun does not give"),
        pytest.param("prted --prtemca ess 'env", id="an open quote"),
        pytest.param("notprted --daemonize", id="a name that only ends in prted"),
    ],
)
def test_any_other_line_is_refused(line: str) -> None:
    with pytest.raises(RefusedLineError):
        prted_command(line)
