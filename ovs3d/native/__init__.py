"""Kernels in C for CPUs, compiled on the machine that runs them; without a compiler PyTorch does the same."""
