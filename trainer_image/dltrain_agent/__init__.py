"""PID 1 of every worker pod: forms the group with the other workers and runs the ranks."""
