"""Training: schedule, optimizer, the loop and what it keeps."""
