"""A process of its own in each pod that keeps the job's folder of a bucket like the one on the pod's disk."""
