"""Folders of S3 buckets: reached as a job says, written in parts, verified when they are read."""
