"""The checks of the supply chain: what is found fails, what could not be looked for says so."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.cluster.host import state_folder
from tests.supply.__main__ import run
from tests.supply.checks import CHECKS, Check, Verdict, verdict

NO_DNS = "error: Failed to query\n  cause: error sending request for url (x)\n  cause: dns error"


@pytest.mark.parametrize(
    ("code", "output", "expected"),
    [
        pytest.param(0, "Found no known vulnerabilities", Verdict("x: none found", failed=False), id="clean"),
        pytest.param(1, "GHSA-1 in a 1.0\n", Verdict("x:\nGHSA-1 in a 1.0", failed=True), id="a finding"),
        pytest.param(2, "error: no lock file", Verdict("x:\nerror: no lock file", failed=True), id="a broken tool"),
        pytest.param(
            2,
            NO_DNS,
            Verdict("x: NOT CHECKED, for what it takes is out of reach: cause: dns error", failed=False),
            id="no way out",
        ),
    ],
)
def test_what_an_answer_means(code: int, output: str, expected: Verdict) -> None:
    assert verdict("x", code, output) == expected


def test_a_secret_in_a_file_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uv = next(state_folder().parent.glob("uv-*/bin/uv"), None)
    if uv is None:
        pytest.skip("needs uv: make install")
    (tmp_path / "settings.py").write_text(f"KEY = '{'AKIA' + 'QYLPMN5HHHFPZAM2'}'\n")
    for command in (["git", "init", "--quiet"], ["git", "add", "settings.py"]):
        subprocess.run(command, cwd=tmp_path, check=True)
    monkeypatch.chdir(tmp_path)
    found = run(str(uv), secrets())
    if "NOT CHECKED" in found.text:
        pytest.skip(found.text)
    assert (found.failed, "AWS Access Key" in found.text) == (True, True)


def secrets() -> Check:
    """The check for secrets."""
    return next(check for check in CHECKS if check.name == "secrets")
