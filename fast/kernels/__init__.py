"""Compiled loops over NumPy arrays. They know neither tensors nor gradients; `fast.functional` does."""
