"""Sweeps: comparisons at every point of a grid of parameters, from one file, and curves of what they say."""
