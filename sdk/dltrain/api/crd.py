"""The CustomResourceDefinitions, generated from the models; `python -m dltrain.api.crd` prints them."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

import yaml
from pydantic import BaseModel

from dltrain.api.base import Rule
from dltrain.api.descriptions import DescribedSchema
from dltrain.api.job import JobSpec, Metadata
from dltrain.api.profile import ProfileSpec
from dltrain.api.status import JobStatus
from dltrain.api.wording import models_in
from dltrain.names import (
    GROUP,
    KIND,
    PLURAL,
    PROFILE_KIND,
    PROFILE_PLURAL,
    PROFILE_SHORT_NAME,
    SHORT_NAME,
    VERSION,
)

Schema = dict[str, Any]

KEPT: Final = (
    "type",
    "description",
    "enum",
    "minimum",
    "maximum",
    "minItems",
    "maxItems",
    "minLength",
    "maxLength",
    "maxProperties",
    "pattern",
    "format",
    "default",
    "required",
)
"""Keywords of JSON schema that Kubernetes' structural schemas have too, with the same meaning."""

COLUMNS: Final = (
    ("Phase", "string", ".status.phase"),
    ("Workers", "string", ".status.workers.summary"),
    ("Stage", "string", ".status.progress.stage"),
    ("Progress", "string", ".status.progress.summary"),
    ("Loss", "number", ".status.progress.loss"),
    ("ETA", "string", ".status.progress.eta"),
    ("Restarts", "integer", ".status.restarts.total"),
    ("Age", "date", ".metadata.creationTimestamp"),
)
PROFILE_COLUMNS: Final = (
    ("Default", "boolean", ".spec.default"),
    ("GPUs", "string", ".spec.resources.limits['nvidia\\.com/gpu']"),
    ("Pod-Security", "string", ".spec.allow.podSecurity"),
    ("Namespaces", "string", ".spec.namespaces"),
    ("Age", "date", ".metadata.creationTimestamp"),
)


def structural(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Schema:
    """A JSON schema of pydantic's as a structural schema: references inlined, optional unions unwrapped."""
    schema = resolved(schema, definitions)
    if "anyOf" in schema:
        return {**int_or_string(schema), **described(schema)}
    result: Schema = {key: schema[key] for key in KEPT if key in schema}
    if isinstance(result.get("default"), Mapping):
        result["default"] = {}  # the API server then fills in the defaults of the fields inside
    if "const" in schema:
        result["enum"] = [schema["const"]]
    result |= exclusive_bounds(schema)
    if schema.get("properties"):  # the API server drops an empty mapping, and `kubectl apply` would find a change
        result["properties"] = {name: structural(part, definitions) for name, part in schema["properties"].items()}
    if "items" in schema:
        result["items"] = structural(schema["items"], definitions)
    if isinstance(schema.get("additionalProperties"), Mapping):
        result["additionalProperties"] = structural(schema["additionalProperties"], definitions)
    elif schema.get("additionalProperties") is True and "properties" not in schema:
        result["x-kubernetes-preserve-unknown-fields"] = True
    return result


def resolved(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Schema:
    """A schema with its reference followed and `or null` removed; what stands beside a reference wins."""
    if "$ref" in schema:
        beside = {key: value for key, value in schema.items() if key != "$ref"}
        return resolved({**definitions[schema["$ref"].rsplit("/", 1)[1]], **beside}, definitions)
    branches = [branch for branch in schema.get("anyOf", ()) if branch.get("type") != "null"]
    if len(branches) == 1:
        beside = {key: value for key, value in schema.items() if key != "anyOf" and value is not None}
        return resolved({**branches[0], **beside}, definitions)
    return dict(schema)


def int_or_string(schema: Schema) -> Schema:
    """The schema of a quantity, the one union in the contract."""
    assert schema["anyOf"] == [{"type": "integer"}, {"type": "string"}], f"no structural schema for {schema}"
    kept = {key: schema[key] for key in ("anyOf", "pattern", "maxLength", "minimum", "maximum")}
    return {"x-kubernetes-int-or-string": True, **kept}


def described(schema: Schema) -> Schema:
    """The description of a schema, if it has one."""
    return {"description": schema["description"]} if "description" in schema else {}


def exclusive_bounds(schema: Schema) -> Schema:
    """Exclusive bounds as OpenAPI 3.0 writes them: a bound and a flag."""
    result: Schema = {}
    for bound, flag in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if flag in schema:
            result |= {bound: schema[flag], flag: True}
    return result


def with_rules(schema: Schema, model: type[BaseModel]) -> Schema:
    """A structural schema with the rules of its model, and of the models below it, as CEL validations."""
    rules = [validation(rule) for rule in getattr(model, "rules", ()) if rule.cel]
    if "properties" not in schema:
        return schema
    properties = dict(schema["properties"])
    for name, field in model.model_fields.items():
        alias = field.alias or name
        for inner in models_in(field.annotation):
            properties[alias] = nested(properties[alias], inner)
        if name in getattr(model, "immutable", ()):
            below = properties[alias].get("x-kubernetes-validations", [])
            properties[alias] = {**properties[alias], "x-kubernetes-validations": [immutable(alias), *below]}
    return {**schema, "properties": properties, **({"x-kubernetes-validations": rules} if rules else {})}


def nested(schema: Schema, model: type[BaseModel]) -> Schema:
    """The rules of a model put on its schema, or on the schema of a list's entries."""
    if "items" in schema:
        return {**schema, "items": with_rules(schema["items"], model)}
    return with_rules(schema, model)


def validation(rule: Rule) -> dict[str, str]:
    """A rule as the API server evaluates it."""
    assert rule.cel, f"the API server cannot evaluate: {rule.message}"
    result = {"rule": rule.cel, "message": rule.message}
    if rule.found:
        must, _, remedy = rule.message.partition("; ")
        result["messageExpression"] = f"{quoted(f'{must} (got %s); {remedy}')}.format([{rule.found.cel}])"
    if rule.at:
        result["fieldPath"] = "".join(f".{part}" if part.isidentifier() else f"['{part}']" for part in rule.at)
    return result


def quoted(text: str) -> str:
    """A string literal of CEL."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def immutable(name: str) -> dict[str, str]:
    """The rule that a field keeps its value."""
    return {
        "rule": "self == oldSelf",
        "message": f"{name} cannot change once the job exists; delete the job and submit it anew",
    }


def model_schema(model: type[BaseModel]) -> Schema:
    """The structural schema of a model."""
    schema = model.model_json_schema(by_alias=True, schema_generator=DescribedSchema)
    return with_rules(structural(schema, schema.get("$defs", {})), model)


def metadata_schema() -> Schema:
    """The restrictions of the metadata; Kubernetes allows them for the names only."""
    properties = Metadata.model_json_schema(by_alias=True)["properties"]
    names = {name: {"type": "string", "pattern": properties[name]["pattern"]} for name in ("name", "generateName")}
    return {"type": "object", "properties": names}


def status_schema() -> Schema:
    """The schema of the status: conditions are a map by type, as in Kubernetes' own APIs."""
    schema = model_schema(JobStatus)
    conditions = schema["properties"]["conditions"]
    conditions |= {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}
    return without_defaults(schema)


def without_defaults(schema: Schema) -> Schema:
    """A schema that fills nothing in: a status says only what was observed."""
    result = {key: value for key, value in schema.items() if key != "default"}
    if "properties" in result:
        result["properties"] = {name: without_defaults(part) for name, part in result["properties"].items()}
    if "items" in result:
        result["items"] = without_defaults(result["items"])
    return result


def custom_resource_definition() -> dict[str, Any]:
    """The manifest of the CustomResourceDefinition of jobs."""
    schema = {
        "description": "A distributed training job.",
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": metadata_schema(),
            "spec": model_schema(JobSpec),
            "status": status_schema(),
        },
    }
    scale = {
        "specReplicasPath": ".spec.workers.replicas",
        "statusReplicasPath": ".status.workers.ready",
        "labelSelectorPath": ".status.workers.selector",
    }
    version = {"subresources": {"status": {}, "scale": scale}, **version_of(schema, COLUMNS)}
    return definition("Namespaced", names_of(KIND, PLURAL, SHORT_NAME) | {"categories": ["all"]}, version)


def profile_resource_definition() -> dict[str, Any]:
    """The manifest of the CustomResourceDefinition of profiles."""
    schema = {
        "description": "What a platform team gives to jobs, and what it lets them do.",
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": model_schema(ProfileSpec),
        },
    }
    names = names_of(PROFILE_KIND, PROFILE_PLURAL, PROFILE_SHORT_NAME)
    return definition("Cluster", names, version_of(schema, PROFILE_COLUMNS))


def version_of(schema: Schema, columns: Sequence[tuple[str, str, str]]) -> dict[str, Any]:
    """The one version of a definition: its schema, and what `kubectl get` prints."""
    return {
        "name": VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
        "additionalPrinterColumns": [{"name": name, "type": kind, "jsonPath": path} for name, kind, path in columns],
    }


def names_of(kind: str, plural: str, short: str) -> dict[str, Any]:
    """What a kind is called."""
    return {"kind": kind, "plural": plural, "singular": kind.lower(), "shortNames": [short]}


def definition(scope: str, names: Mapping[str, Any], version: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest of a CustomResourceDefinition of one version."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{names['plural']}.{GROUP}"},
        "spec": {"group": GROUP, "scope": scope, "names": dict(names), "versions": [dict(version)]},
    }


def main() -> None:
    """Print the manifests."""
    definitions = (custom_resource_definition(), profile_resource_definition())
    sys.stdout.write("# Generated from dltrain.api by `make crd`; do not edit.\n")
    yaml.safe_dump_all(definitions, sys.stdout, sort_keys=False, width=120)


if __name__ == "__main__":
    main()
