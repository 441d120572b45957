"""Multi-resolution hash grid: storage for what is finer than planes can hold, the texture of surfaces."""

from itertools import product

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

PRIMES = (1, 2654435761, 805459861)
"""Factors of the spatial hash (Instant-NGP, arXiv 2201.05989, eq. 4)."""


class WeightedRows(torch.autograd.Function):
    """Weighted sums of table rows, for each point of its own; no gradient reaches the weights.

    On a CPU `embedding_bag` halves the time of the look-up, but its own backward pass takes four times as long as this.
    """

    @staticmethod
    def forward(ctx, table, rows, weights):
        """From `table` [entries, channels], `rows` and `weights` [n, corners]: sums [n, channels]."""
        ctx.save_for_backward(rows, weights)
        ctx.shape = table.shape
        if table.is_cpu:
            return nn.functional.embedding_bag(rows, table, mode="sum", per_sample_weights=weights)
        return torch.bmm(weights[:, None], table[rows])[:, 0]

    @staticmethod
    def backward(ctx, *gradients):
        """Gradient of the table alone: every entry gathers what its points send, by their weights."""
        rows, weights = ctx.saved_tensors
        shares = (weights[:, :, None] * gradients[0][:, None, :]).flatten(0, 1)
        into = rows.reshape(-1, 1).expand(-1, ctx.shape[1])
        return shares.new_zeros(ctx.shape).scatter_add_(0, into, shares), None, None


class HashGrid(nn.Module):
    """Trilinear look-ups in one table per resolution (Instant-NGP, arXiv 2201.05989, section 3), in plain PyTorch.

    A level whose grid fits into its table is stored densely; the others are hashed, and what is learned at a surface
    wins over the empty space that shares its entries.

    Args:
        resolutions: cells along a side, one table for each.
        channels: numbers per entry.
        log2_size: binary logarithm of the entries of a table, at most.
    """

    def __init__(self, resolutions: tuple[int, ...], channels: int, log2_size: int) -> None:
        super().__init__()
        self.resolutions, self.size = resolutions, 1 << log2_size
        self.dim = channels * len(resolutions)
        self.tables = nn.ParameterList(
            nn.Parameter(torch.empty(min(self.size, (side + 1) ** 3), channels).uniform_(-1e-2, 1e-2))
            for side in resolutions
        )

    def forward(self, points: Float[Tensor, "n 3"]) -> Float[Tensor, "n dim"]:
        """Features of `points`, whose coordinates lie in [-1, 1]; outside, the border is repeated."""
        unit = (0.5 * points + 0.5).clamp(0.0, 1.0 - 1e-6)
        features = []
        for side, table in zip(self.resolutions, self.tables, strict=True):
            rows, weights = self.corners(unit, side)
            features.append(WeightedRows.apply(table, rows, weights))
        return torch.cat(features, dim=-1)

    def corners(self, unit: Float[Tensor, "n 3"], side: int) -> tuple[Int[Tensor, "n 8"], Float[Tensor, "n 8"]]:
        """Rows of the table and trilinear weights of the eight corners around points in [0, 1)."""
        scaled = unit * side
        low = scaled.floor()
        upper = scaled - low
        cell, dense = low.long(), (side + 1) ** 3 <= self.size
        factors = (1, side + 1, (side + 1) ** 2) if dense else PRIMES
        terms = [(cell[:, axis] * factor, (cell[:, axis] + 1) * factor) for axis, factor in enumerate(factors)]
        shares = [(1.0 - upper[:, axis], upper[:, axis]) for axis in range(3)]
        rows, weights = [], []
        for x, y, z in product((0, 1), repeat=3):
            a, b, c = terms[0][x], terms[1][y], terms[2][z]
            rows.append(a + b + c if dense else (a ^ b ^ c) & (self.size - 1))
            weights.append(shares[0][x] * shares[1][y] * shares[2][z])
        return torch.stack(rows, dim=-1), torch.stack(weights, dim=-1)
