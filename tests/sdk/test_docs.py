"""What the documentation says exists: links, commands, targets, files, variables, jobs."""

from __future__ import annotations

import ast
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from dltrain import names
from dltrain.api.status import FailureReason
from dltrain.cli.app import COMMANDS
from dltrain_operator.settings import FLAGS
from dltrain_operator.status import PHASES
from tests.cluster.__main__ import parser

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    page
    for page in ROOT.rglob("*.md")
    if not any(part.startswith(".") or part == "dltrain-runs" for part in page.relative_to(ROOT).parts)
)
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FOLDERS = ("sdk", "operator", "trainer_image", "manifests", "tests", "docs")


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks of one language."""
    return [code for found, code in FENCED.findall(text) if found == language]


def spans(text: str) -> list[str]:
    """The pieces of inline code, each on one line."""
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", FENCED.sub("", text))]


def commands(text: str, program: str) -> Iterator[list[str]]:
    """The words after a program's name, wherever it is called: in inline code and in shell blocks."""
    lines = [line for block in blocks(text, "sh") for line in block.replace("\\\n", " ").splitlines()]
    for line in [*spans(text), *lines]:
        for call in re.split(r"&&|;|\|", line.split(" #")[0]):
            if call.strip().startswith(f"{program} "):
                yield shlex.split(call)[len(program.split()) :]


def everywhere(find: Any) -> list[tuple[str, str]]:
    """(page, finding) of all pages."""
    return [(str(page.relative_to(ROOT)), found) for page in PAGES for found in find(page.read_text())]


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", FENCED.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_there_are_pages_to_look_at() -> None:
    assert {ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "docs" / "jobs.md"} - set(PAGES) == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_within_the_project_leads_somewhere(page: Path) -> None:
    broken = []
    for link in LINK.findall(re.sub(r"`[^`]*`", "", FENCED.sub("", page.read_text()))):
        target, _, anchor = link.partition("#")
        file = (page.parent / target) if target else page
        if "://" not in link and not (file.exists() and (not anchor or anchor in anchors(file.read_text()))):
            broken.append(link)
    assert broken == []


def test_every_make_target_exists() -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = everywhere(lambda text: [word for call in commands(text, "make") for word in call if "=" not in word])
    assert [(page, word) for page, word in named if word not in targets and word != "TARGET"] == []
    assert len(named) > 10


def test_every_dltrain_command_exists() -> None:
    named = everywhere(lambda text: [call[0] for call in commands(text, "dltrain")])
    assert [(page, word) for page, word in named if word not in COMMANDS] == []
    assert len(named) > 10


def test_every_command_of_the_test_cluster_exists() -> None:
    actions = [action for action in parser()._subparsers._group_actions if action.choices]  # type: ignore[union-attr]  # it has commands
    known = set(actions[0].choices or ())
    named = everywhere(lambda text: [call[0] for call in commands(text, "python3 -m tests.cluster")])
    assert [(page, word) for page, word in named if word not in known] == []
    assert named


def test_every_file_of_the_project_that_is_named_exists() -> None:
    named = everywhere(lambda text: [span for span in spans(text) if re.fullmatch(r"[\w.-]+/[\w./-]*", span)])
    ours = [(page, path) for page, path in named if path.split("/")[0] in FOLDERS]
    assert [(page, path) for page, path in ours if not (ROOT / path).exists()] == []
    assert ours


def test_every_table_that_is_to_be_added_to_is_where_the_page_says() -> None:
    page = " ".join((ROOT / "CONTRIBUTING.md").read_text().split())
    tables = [
        (name, path)
        for found, path in re.findall(r"((?:`[A-Z_]+`(?: or )?)+) of `(\S+)`", page)
        for name in re.findall(r"[A-Z_]+", found)
    ]
    missing = [(name, path) for name, path in tables if f"\n{name}:" not in (ROOT / path).read_text()]
    assert missing == []
    assert len(tables) > 3


def test_every_variable_of_dltrain_that_is_named_exists() -> None:
    known = {value for name, value in vars(names).items() if name.endswith("_VARIABLE")}
    known |= {variable for _, variable, _, _ in FLAGS} | {"DLTRAIN_CACHE", "DLTRAIN_CLUSTER_BIN"}
    named = everywhere(lambda text: re.findall(r"\bDLTRAIN_[A-Z_]+\b", text))
    assert [(page, word) for page, word in named if word not in known] == []


def test_every_python_block_is_python() -> None:
    for _, block in everywhere(lambda text: blocks(text, "python")):
        ast.parse(block)


def test_the_readme_has_one_test_command() -> None:
    text = (ROOT / "README.md").read_text()
    testing = {"test", "unit", "e2e", "check"}
    assert {word for call in commands(text, "make") for word in call} & testing == {"test"}
    assert "pytest" not in text


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    uv = project["tool"]["uv"]["extra-build-dependencies"]
    listed = [
        *project["project"]["dependencies"],
        *(entry for extra in project["project"]["optional-dependencies"].values() for entry in extra),
        *(entry for group in project["dependency-groups"].values() for entry in group),
        *(entry if isinstance(entry, str) else entry["requirement"] for build in uv.values() for entry in build),
        *project["build-system"]["requires"],
    ]
    named = {re.split(r"[<>=;!\[ ]", entry)[0] for entry in listed}
    told = (ROOT / "docs" / "dependencies.md").read_text()
    assert sorted(name for name in named if not re.search(rf"\b{re.escape(name)}\b", told)) == []


def first_column(heading: str) -> set[str]:
    """The first cells of the table under a heading of the troubleshooting page."""
    text = (ROOT / "docs" / "troubleshooting.md").read_text()
    section = re.split(r"^## ", text.split(f"## {heading}\n")[1], flags=re.MULTILINE)[0]
    return {row.split("|")[1].strip() for row in section.splitlines() if row.startswith("|")} - {"reason", "---"}


def test_every_reason_why_a_job_does_not_run_is_explained() -> None:
    assert first_column("Conditions") == {str(reason) for reason in PHASES}


def test_the_failures_that_are_explained_are_those_of_the_contract() -> None:
    assert first_column("Failures") <= set(get_args(FailureReason))
    assert len(first_column("Failures")) > 3


def test_the_role_for_one_namespace_grants_what_the_cluster_role_does() -> None:
    manifests = list(yaml.safe_load_all((ROOT / "manifests" / "operator.yaml").read_text()))
    cluster_role = next(each for each in manifests if each["kind"] == "ClusterRole")
    pages = [list(yaml.safe_load_all(block)) for block in blocks((ROOT / "docs" / "install.md").read_text(), "yaml")]
    roles = [each for page in pages for each in page if each["kind"] == "Role"]
    role = next(each for each in roles if each["metadata"]["name"] == "dltrain-operator")
    beyond = next(each for page in pages for each in page if each["kind"] == "ClusterRole")
    assert {told(rule) for rule in (*role["rules"], *beyond["rules"])} == {told(rule) for rule in cluster_role["rules"]}


def told(rule: dict[str, list[str]]) -> tuple[tuple[str, ...], ...]:
    """A rule of a role: groups, resources, verbs."""
    return tuple(tuple(rule[name]) for name in ("apiGroups", "resources", "verbs"))
