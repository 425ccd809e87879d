"""The objects that a job owns, as manifests: pure functions of the job."""
