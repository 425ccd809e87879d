"""The script that pushes images to ECR, run with stand-ins for docker and AWS' command line."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Final

import pytest
import yaml

from tests.chart.aws import AWS
from tests.chart.rendering import objects, one, render

REGISTRY: Final = "123456789012.dkr.ecr.eu-central-1.amazonaws.com"
DEBIAN: Final = f"docker.io/library/debian@sha256:{'d' * 64}"
DIGESTS: Final = {
    "operator": f"sha256:{'1' * 64}",
    "trainer": f"sha256:{'2' * 64}",
    "trainer-efa": f"sha256:{'3' * 64}",
}
DOCKER: Final = f"""#!/usr/bin/env bash
echo "docker $*" >>"$CALLS"
case "$1" in
  image) printf "${{PULLED:-debian@{DEBIAN.partition("@")[2]}}}\n" ;;
  login) cat >/dev/null && echo Login Succeeded ;;
  *) echo "7: digest: sha256: size" ;;
esac
"""
CLOUD: Final = f"""#!/usr/bin/env bash
echo "aws $*" >>"$CALLS"
case "$*" in
  sts*) echo 123456789012 ;;
  *describe-repositories*dltrain/operator*) ;;
  *describe-repositories*) exit 254 ;;
  *describe-images*dltrain/operator*) echo {DIGESTS["operator"]} ;;
  *describe-images*dltrain/trainer-efa*) echo {DIGESTS["trainer-efa"]} ;;
  *describe-images*dltrain/trainer*) echo {DIGESTS["trainer"]} ;;
esac
"""


def pushed(folder: Path, **variables: str) -> tuple[str, list[str]]:
    """What the script prints last, and what it runs."""
    for name, text in (("docker", DOCKER), ("aws", CLOUD)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    calls = folder / "calls"
    environment = {"PATH": f"{folder}:{os.environ['PATH']}", "CALLS": str(calls), **variables}
    command: list[str | Path] = ["bash", AWS / "push-images.sh", "eu-central-1", "7"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout, calls.read_text().splitlines()


def images(values: str) -> tuple[str, str]:
    """The images of the operator and of workers, as the chart has them with some values."""
    container = one(objects(render(yaml.safe_load(values), "values-eks.yaml")), "Deployment")["spec"]["template"][
        "spec"
    ]["containers"][0]
    (trainer,) = (each["value"] for each in container["env"] if each["name"] == "DLTRAIN_TRAINER_IMAGE")
    return container["image"], trainer


@pytest.mark.parametrize(
    ("variables", "names"),
    [
        pytest.param({}, ["operator", "trainer"], id="as they are"),
        pytest.param({"EFA": "1"}, ["operator", "trainer", "trainer-efa"], id="with EFA's software"),
    ],
)
def test_the_values_that_are_told_pin_what_was_pushed(
    tmp_path: Path, variables: dict[str, str], names: list[str]
) -> None:
    said, calls = pushed(tmp_path, **variables)
    assert images(said) == (
        f"{REGISTRY}/dltrain/operator@{DIGESTS['operator']}",
        f"{REGISTRY}/dltrain/{names[-1]}@{DIGESTS[names[-1]]}",
    )
    tags = [call.split()[2] for call in calls if call.startswith("docker push")]
    assert tags == [f"{REGISTRY}/dltrain/{name}:7" for name in names]


def test_images_are_made_of_a_base_that_is_pinned_and_told(tmp_path: Path) -> None:
    said, calls = pushed(tmp_path, EFA="1")
    assert f"# made of {DEBIAN}" in said
    arguments = [call.partition("--build-arg ")[2].split()[0] for call in calls if call.startswith("docker build")]
    made_of = f"TRAINER_IMAGE={REGISTRY}/dltrain/trainer@{DIGESTS['trainer']}"
    assert arguments == [f"BASE_IMAGE={DEBIAN}", f"BASE_IMAGE={DEBIAN}", made_of]


@pytest.mark.parametrize(
    "pulled",
    [
        pytest.param(f"public.ecr.aws/docker/library/debian@sha256:{'e' * 64}\n{DEBIAN[18:]}", id="a mirror's first"),
        pytest.param(f"{DEBIAN[18:]}\npublic.ecr.aws/docker/library/debian@sha256:{'e' * 64}", id="a mirror's last"),
        pytest.param(f"{DEBIAN}\n{DEBIAN[:-1]}e", id="two of its own, as podman has them"),
    ],
)
def test_an_image_that_has_several_names_here_is_pinned_by_one_of_debians(tmp_path: Path, pulled: str) -> None:
    said, _ = pushed(tmp_path, PULLED=pulled)
    assert said.startswith(f"# made of {DEBIAN}\n#")


def test_only_repositories_that_are_missing_are_made(tmp_path: Path) -> None:
    _, calls = pushed(tmp_path)
    made = [call.partition("--repository-name ")[2].split()[0] for call in calls if "create-repository" in call]
    assert made == ["dltrain/trainer"]
