"""What a model is worth: metrics that are exact over all ranks."""
