"""Whether a job fits a cluster as it is now: its pods on the nodes, and in the quotas of its namespace."""
