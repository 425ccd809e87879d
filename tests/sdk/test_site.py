"""The documentation: its site builds without a warning, its Python runs, its commands are ones that there are."""

import itertools
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from dltrain.cli.app import app
from dltrain.client import Client
from dltrain.convert import convert
from tests.apiserver import ApiServer
from tests.sdk.builders import condition, job
from tests.sdk.command_line import CommandLine
from tests.sdk.test_both_clients import write_status
from tests.sdk.test_docs import PAGES, ROOT, blocks, commands

PLACEHOLDERS = {"N": "1", "SECONDS": "1"}
RUN = ("README.md", "docs/python.md", "docs/debugging.md")
"""Pages whose Python is run, from the first block to the last."""


class Links(HTMLParser):
    """What a page loads and where it leads to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.loads: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note one element."""
        found = {name: value or "" for name, value in attrs}
        self.anchors |= {found["id"]} if "id" in found else set()
        if tag == "a" and "href" in found:
            self.targets.append(found["href"])
        self.loads += [found[name] for name in ("src",) if name in found]
        self.loads += [found["href"]] if tag == "link" and found.get("rel") in {"stylesheet", "icon"} else []


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` does."""
    folder = tmp_path_factory.mktemp("site")
    options = ["-q", "-W", "--keep-going", "-E", "-c", str(ROOT / "docs"), "-d", str(folder / ".doctrees")]
    command = [sys.executable, "-m", "sphinx", *options, str(ROOT), str(folder / "html")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "html"


def test_the_site_has_every_page_and_no_broken_link(site: Path) -> None:
    pages = {page: Links(page.read_text()) for page in site.rglob("*.html")}
    assert {(site / each.relative_to(ROOT)).with_suffix(".html") for each in PAGES} - set(pages) == set()
    broken = []
    for page, links in pages.items():
        for link in links.targets:
            target, _, anchor = link.partition("#")
            if re.match(r"\w+:", link):
                continue
            file = (page.parent / target).resolve() if target else page
            if not file.exists() or (anchor and file in pages and anchor not in pages[file].anchors):
                broken.append((page.name, link))
    assert broken == []


def test_the_site_loads_nothing_from_elsewhere(site: Path) -> None:
    loads = {load for page in site.rglob("*.html") for load in Links(page.read_text()).loads}
    assert {load for load in loads if re.match(r"\w+:|//", load)} == set()
    assert loads


def commands_of_pages() -> Iterator[tuple[str, list[str]]]:
    """Every call of dltrain in the pages, with what it is called with."""
    for page in PAGES:
        for words in commands(page.read_text(), "dltrain"):
            if len(words) > 1 and "..." not in words:
                yield f"{page.name}: {' '.join(words)}", [PLACEHOLDERS.get(word, word) for word in words]


def test_every_command_in_the_pages_has_the_options_that_it_is_given() -> None:
    group = typer.main.get_group(app)
    wrong = []
    known = list(commands_of_pages())
    for told, (name, *arguments) in known:
        try:
            group.commands[name].make_context(name, list(itertools.takewhile(lambda word: word != ">", arguments)))
        except Exception as error:  # noqa: BLE001 - whatever the library raises is reported with the command
            if "Missing argument" not in str(error) and "--help" not in arguments:
                wrong.append((told, str(error)))
    assert wrong == []
    assert len(known) > 40


def play_operator(api_server: ApiServer, kubeconfig: Path, stop: threading.Event) -> None:
    """Complete every job, with progress and results, but for those called broken."""
    client = Client(kubeconfig=kubeconfig)
    for event in client.watch(everywhere=True):
        if stop.is_set():
            return
        made = event.job
        if event.kind == "ADDED" and not made.status.finished and made.name != "broken":
            told = {"stage": "train", "percent": 50, "loss": 0.5, "step": 1, "steps": 2}
            write_status(api_server, made.namespace, made.name, phase="Running", progress=told)
            results = {"metrics": {"accuracy": 0.9}, "artifacts": "pvc://models/a"}
            ended = {"phase": "Succeeded", "conditions": [condition("Complete")]}
            write_status(api_server, made.namespace, made.name, **ended, results=results)


@pytest.fixture
def kubeconfig(api_server: ApiServer, namespace: str, tmp_path: Path) -> Iterator[Path]:
    """A kubeconfig of a namespace where jobs complete by themselves."""
    content = yaml.safe_load(api_server.kubeconfig.read_text())
    content["contexts"][0]["context"]["namespace"] = namespace
    file = tmp_path / "kubeconfig"
    file.write_text(yaml.safe_dump(content))
    stop = threading.Event()
    operator = threading.Thread(target=play_operator, args=(api_server, file, stop), daemon=True)
    operator.start()
    yield file
    stop.set()
    Client(kubeconfig=file).submit(job(name="stop-the-operator"))
    operator.join(30)


@pytest.mark.parametrize("page", RUN)
def test_the_python_of_a_page_runs(api_server: ApiServer, kubeconfig: Path, tmp_path: Path, page: str) -> None:
    client = Client(kubeconfig=kubeconfig)
    if page == "docs/debugging.md":
        client.submit(job(name="broken"))
        failure = {"reason": "UserError", "message": "rank 1 failed", "rank": 1, "log": "Traceback"}
        write_status(api_server, client.namespace, "broken", conditions=[condition("Failed")], failure=failure)
    found = [
        block for block in blocks((ROOT / page).read_text(), "python") if "step=step" not in block or "def " in block
    ]
    script = tmp_path / "page.py"
    script.write_text("\n".join(found))
    environment = {**os.environ, "KUBECONFIG": str(kubeconfig)}
    done = subprocess.run(
        [sys.executable, script], env=environment, cwd=ROOT, capture_output=True, text=True, timeout=90, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout


def test_the_page_about_other_jobs_shows_what_convert_prints() -> None:
    before, after = blocks((ROOT / "docs" / "migrating.md").read_text(), "yaml")
    assert yaml.safe_load(after) == convert(yaml.safe_load(before)).job.to_manifest()


def test_the_quick_start_makes_a_valid_job(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    program: Any = CommandLine(monkeypatch, capsys)
    here = (ROOT / "docs" / "quick-start.md").read_text().partition("## On kind")[0]
    ran = [words for words in commands(here, "dltrain") if words[0] in {"init", "validate", "plan"} and len(words) > 1]
    assert [words[0] for words in ran if program(*words).code] == []
    assert [words[0] for words in ran][:3] == ["init", "validate", "plan"]
