"""What the operator would create for a job, as YAML: reads the job as JSON, for `dltrain plan --objects`."""

from __future__ import annotations

import json
import sys
from typing import Any, Final

import yaml

from dltrain.api.document import TAG, JobDumper
from dltrain.api.job import DLTrainJob
from dltrain.api.parse import stored_job
from dltrain_operator.children.lasting import lasting_children
from dltrain_operator.children.metadata import Manifest, child_metadata
from dltrain_operator.children.pod import Place, worker_pod
from dltrain_operator.children.secret import identity_secret_name
from dltrain_operator.site import DEFAULT_IMAGE, DEFAULT_NAMESPACE

NO_UID: Final = "00000000-0000-0000-0000-000000000000"
SUFFIX: Final = "xxxxx"
"""What the API server makes random."""
NOTES: Final = f"""\
# What the operator creates for the job. Made up, for it is known only in the cluster: the uid, the image of a job that
# names none ({DEFAULT_IMAGE}) and the operator's namespace ({DEFAULT_NAMESPACE}).
"""
HEAD: Final = ("apiVersion", "kind", "metadata")
IDENTITY_NOTE: Final = "# Its content, a certificate and its key, is made in the cluster.\n"


class ManifestDumper(JobDumper):
    """A dumper of objects for people: no anchors, and text of several lines as it is."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's signature
        """Write everything out, wherever it is used twice."""
        return True

    def represent_lines(self, text: str) -> yaml.ScalarNode:
        """Represent a text, as a block if it has several lines."""
        return self.represent_scalar(f"{TAG}str", text, style="|" if "\n" in text else None)


ManifestDumper.add_representer(str, ManifestDumper.represent_lines)


def named(job: DLTrainJob) -> DLTrainJob:
    """A job with what the API server would give it: name, namespace and uid."""
    given = job.metadata
    metadata = {
        "name": given.name or f"{given.generate_name}{SUFFIX}",
        "namespace": given.namespace or "default",
        "uid": given.uid or NO_UID,
    }
    return job.model_copy(update={"metadata": given.model_copy(update=metadata)})


def objects(job: DLTrainJob) -> list[Manifest]:
    """What the operator would create for a new job, in its order; the Secret without its content.

    Args:
        job: with its profile, if it has one, laid under it.
    """
    job = named(job)
    secret: Manifest = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": child_metadata(job, identity_secret_name(job)),
        "type": "Opaque",
    }
    places = [Place(index, 1, "1", 0, 0) for index in range(job.spec.workers.replicas)]
    return [
        *lasting_children(job, DEFAULT_NAMESPACE),
        secret,
        *(worker_pod(job, place, DEFAULT_IMAGE) for place in places),
    ]


def preview(job: DLTrainJob) -> str:
    """The objects as YAML, with a word on what of them is made up."""
    texts = [(IDENTITY_NOTE if each["kind"] == "Secret" else "") + as_yaml(each) for each in objects(job)]
    return NOTES + "---\n".join(texts)


def as_yaml(manifest: Manifest) -> str:
    """An object as one would write it: first what it is."""
    ordered = {name: manifest[name] for name in HEAD} | manifest
    return yaml.dump(ordered, Dumper=ManifestDumper, sort_keys=False, allow_unicode=True)


if __name__ == "__main__":
    sys.stdout.write(preview(stored_job(json.load(sys.stdin))))
