"""Random changes of training samples, for a whole batch at once, with numbers that depend on seed, epoch and sample."""
