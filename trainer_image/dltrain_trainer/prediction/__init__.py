"""Predictions of exported models: raw samples from files of every kind, and what a model says of them."""
