"""What people look at after a training: one self-contained page, and files for TensorBoard."""
