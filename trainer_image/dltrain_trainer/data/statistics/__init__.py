"""Statistics of the training split, worked out by all ranks together and equal on each.

Every function takes `Rows`: a way to pass over this rank's share of the samples, as often as need be.
"""
