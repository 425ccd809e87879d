"""Certificates for the channel's tests, made with openssl: what the operator puts into a job's Secret."""

import subprocess
from pathlib import Path


def openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


def make_authority(folder: Path) -> None:
    """An authority in ca.crt and ca.key."""
    folder.mkdir(parents=True, exist_ok=True)
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    openssl("req", "-x509", *curve, "-keyout", folder / "ca.key", "-out", folder / "ca.crt", "-subj", "/CN=job")


def make_leaf(authority: Path, role: str, folder: Path) -> Path:
    """A folder with ca.crt and a leaf (tls.crt, tls.key) of that role."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ca.crt").write_bytes((authority / "ca.crt").read_bytes())
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    openssl("req", *curve, "-keyout", folder / "tls.key", "-out", folder / "csr", "-subj", f"/CN={role}")
    signing = ("-CA", authority / "ca.crt", "-CAkey", authority / "ca.key", "-CAcreateserial")
    openssl("x509", "-req", "-in", folder / "csr", *signing, "-out", folder / "tls.crt", "-days", "2")
    return folder
