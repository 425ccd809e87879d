"""Compiles the cluster's programs from Go modules, each once per version."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.cluster.archives import image_archive
from tests.cluster.host import call, timed
from tests.cluster.versions import BUILD_TAGS, MODULES, Module

PAUSE_IMAGE = "localhost/pause:1"
PAUSE_SOURCE = """package main
import ("os"; "os/signal"; "syscall")
func main() { c := make(chan os.Signal, 1); signal.Notify(c, syscall.SIGTERM, os.Interrupt); <-c }
"""
"""A pod sandbox's only process: does nothing until it is told to end."""


def build_programs(state: Path, modules: Sequence[Module] = MODULES) -> None:
    """Build every program whose pinned version is not there yet."""
    for folder in ("bin", "build"):
        (state / folder).mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "CGO_ENABLED": "0"}
    for module in modules:
        for name, package in module.programs.items():
            target = state / "bin" / name
            stamp = state / "build" / f"{name}@{module.version}.done"
            if not (stamp.exists() and target.exists()):
                timed(f"{name} {module.version}", lambda: build(module, package, target, state, environment))  # noqa: B023
                stamp.touch()
    build_pause(state, environment)


def build(module: Module, package: str, target: Path, state: Path, environment: Mapping[str, str]) -> None:
    """Build one program."""
    if module.in_place:
        folder = Path(download(module, environment)["Dir"])
        path, flags = f"./{package}", "-mod=readonly"
    else:
        folder = state / "build" / f"{module.path.replace('/', '_')}@{module.version}"
        write_go_mod(module, folder, environment)
        path, flags = module.path if package == "." else f"{module.path}/{package}", "-mod=mod"
    command = ["go", "build", flags, "-buildvcs=false", "-trimpath", "-tags", BUILD_TAGS]
    call(*command, "-ldflags", link_flags(module), "-o", target, path, cwd=folder, env=environment)


def download(module: Module, environment: Mapping[str, str]) -> dict[str, str]:
    """Fetch a module; where its files are."""
    found = json.loads(call("go", "mod", "download", "-json", f"{module.path}@{module.version}", env=environment))
    assert isinstance(found, dict)
    return found


def write_go_mod(module: Module, folder: Path, environment: Mapping[str, str]) -> None:
    """Make a module of our own that requires the one to build, for `go install` refuses those with replacements."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "go.mod").exists():
        upstream = Path(download(module, environment)["GoMod"]).read_text()
        (folder / "go.mod").write_text(go_mod(module, upstream))


def go_mod(module: Module, upstream: str) -> str:
    """A go.mod that requires a module, with Kubernetes' staging modules (required as v0.0.0) at their real version."""
    staging = sorted(set(re.findall(r"^\s*(k8s\.io/\S+) v0\.0\.0\s*$", upstream, re.MULTILINE)))
    version = module.version.replace("v1", "v0", 1)
    lines = ["module testcluster", "go 1.26", f"require {module.path} {module.version}"]
    return "\n".join([*lines, *(f"replace {name} => {name} {version}" for name in staging)]) + "\n"


def link_flags(module: Module) -> str:
    """The linker's options: no debug information, and the version where the program must know it."""
    if not module.stamp_variable:
        return "-s -w"
    major, minor, _ = module.version.removeprefix("v").split(".")
    values = {"gitVersion": module.version, "gitMajor": major, "gitMinor": minor}
    return " ".join(["-s -w", *(f"-X {module.stamp_variable}.{name}={value}" for name, value in values.items())])


def build_pause(state: Path, environment: Mapping[str, str]) -> None:
    """The image of the pod sandbox: one static program."""
    archive = state / "bin" / "pause.tar"
    if archive.exists():
        return
    source = state / "build" / "pause.go"
    source.write_text(PAUSE_SOURCE)
    program = source.with_suffix("")
    call("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", program, source, env=environment)
    archive.write_bytes(image_archive(PAUSE_IMAGE, "/pause", program.read_bytes()))
