"""Examines a live cluster: what is looked at, what it means, what to do about it."""
