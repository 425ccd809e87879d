"""Compression: what makes a trained model smaller and faster, and what measures and judges it."""
