"""A real Kubernetes cluster of several nodes on one Linux machine, made of plain processes: no Docker, no registry.

`python3 -m tests.cluster` is its command line; it needs the standard library only.  Every machine of the cluster, the
control plane and each node, is a process tree in namespaces of its own: to kill its first process is to pull its plug.
"""
