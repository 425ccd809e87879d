"""The cluster's keys, certificates and kubeconfigs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.cluster.host import call
from tests.cluster.network import CONTROL_ADDRESS, node_address

API: Final = f"https://{CONTROL_ADDRESS}:6443"
CURVE: Final = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
COMPONENTS: Final = ("kube-controller-manager", "kube-scheduler", "kube-proxy")


def make_pki(folder: Path, nodes: Sequence[str]) -> None:
    """Every key, certificate and kubeconfig of the cluster."""
    folder.mkdir(parents=True)
    authority = ("-keyout", folder / "ca.key", "-out", folder / "ca.crt", "-subj", "/CN=dltc", "-days", "3650")
    call("openssl", "req", "-x509", *CURVE, *authority)
    call("openssl", "genrsa", "-out", folder / "sa.key", "2048")
    call("openssl", "rsa", "-in", folder / "sa.key", "-pubout", "-out", folder / "sa.pub")
    service = "kubernetes.default.svc"
    names = ["kubernetes", "kubernetes.default", service, f"{service}.cluster.local"]
    addresses = [CONTROL_ADDRESS, "10.78.0.1", "127.0.0.1"]
    alternatives = [*(f"DNS:{name}" for name in names), *(f"IP:{address}" for address in addresses)]
    certify(folder, "apiserver", "/CN=kube-apiserver", alternatives)
    certify(folder, "admin", "/O=system:masters/CN=admin", ["DNS:admin"])
    for name in COMPONENTS:
        certify(folder, name, f"/CN=system:{name}", [f"DNS:{name}"])
    for node in nodes:
        certify(folder, node, f"/O=system:nodes/CN=system:node:{node}", [f"DNS:{node}", f"IP:{node_address(node)}"])


def certify(folder: Path, name: str, subject: str, alternatives: Sequence[str]) -> None:
    """A key, a certificate signed by the cluster's authority, and a kubeconfig that uses them."""
    key, request, made, extensions = (folder / f"{name}.{end}" for end in ("key", "csr", "crt", "ext"))
    call("openssl", "req", *CURVE, "-keyout", key, "-out", request, "-subj", subject)
    extensions.write_text(f"subjectAltName={','.join(alternatives)}\nextendedKeyUsage=serverAuth,clientAuth\n")
    authority = ("-CA", folder / "ca.crt", "-CAkey", folder / "ca.key", "-CAcreateserial", "-days", "3650")
    call("openssl", "x509", "-req", "-in", request, *authority, "-out", made, "-extfile", extensions)
    (folder / f"{name}.kubeconfig").write_text(json.dumps(kubeconfig(folder, name)))


def kubeconfig(folder: Path, name: str) -> dict[str, object]:
    """The kubeconfig of one user."""
    user = {"client-certificate": str(folder / f"{name}.crt"), "client-key": str(folder / f"{name}.key")}
    cluster = {"server": API, "certificate-authority": str(folder / "ca.crt")}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "dltc",
        "clusters": [{"name": "dltc", "cluster": cluster}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": "dltc", "context": {"cluster": "dltc", "user": name}}],
    }
