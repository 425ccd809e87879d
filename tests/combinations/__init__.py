"""Random valid jobs, tiny ones, each seen to keep what every job is promised."""
