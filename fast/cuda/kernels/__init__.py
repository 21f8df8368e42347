"""Loops for a GPU, by subject as in `fast/kernels`, which says what each of them computes: here it is done by threads.

A kernel is a plain function, run by every thread of a grid. `fast/cuda/registry.py` lists them all, with the number of
threads that each wants, and compiles them.
"""
