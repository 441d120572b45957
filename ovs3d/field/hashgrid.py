"""Multi-resolution hash grid: storage for what is finer than planes can hold, the texture of surfaces."""

from collections.abc import Sequence
from itertools import product

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ovs3d.native.grids import HashLookUp, supported

PRIMES = (1, 2654435761, 805459861)
"""Factors of the spatial hash (Instant-NGP, arXiv 2201.05989, eq. 4)."""


class WeightedRows(torch.autograd.Function):
    """Weighted sums of table rows, for each point of its own; no gradient reaches the weights.

    The backward pass of plain indexing takes several times as long.
    """

    @staticmethod
    def forward(ctx, table, rows, weights):
        """From `table` [entries, channels], `rows` and `weights` [n, corners]: sums [n, channels]."""
        ctx.save_for_backward(rows, weights)
        ctx.shape = table.shape
        return torch.bmm(weights[:, None], table[rows])[:, 0]

    @staticmethod
    def backward(ctx, *gradients):
        """Gradient of the table alone: every entry gathers what its points send, by their weights."""
        rows, weights = ctx.saved_tensors
        shares = (weights[:, :, None] * gradients[0][:, None, :]).flatten(0, 1)
        into = rows.reshape(-1, 1).expand(-1, ctx.shape[1])
        return shares.new_zeros(ctx.shape).scatter_add_(0, into, shares), None, None


class HashGrid(nn.Module):
    """Trilinear look-ups in one table per resolution (Instant-NGP, arXiv 2201.05989, section 3).

    A level whose grid fits into its table is stored densely; the others are hashed, and what is learned at a surface
    wins over the empty space that shares its entries.

    Args:
        resolutions: cells along a side, one table for each.
        channels: numbers per entry.
        log2_size: binary logarithm of the entries of a table, at most.
    """

    def __init__(self, resolutions: tuple[int, ...], channels: int, log2_size: int) -> None:
        super().__init__()
        self.resolutions = resolutions
        self.dim = channels * len(resolutions)
        self.tables = nn.ParameterList(
            nn.Parameter(torch.empty(min(1 << log2_size, (side + 1) ** 3), channels).uniform_(-1e-2, 1e-2))
            for side in resolutions
        )

    def forward(self, points: Float[Tensor, "n 3"]) -> Float[Tensor, "n dim"]:
        """Features of `points`, whose coordinates lie in [-1, 1]; outside, the border is repeated."""
        tables = list(self.tables)
        if supported(points, tables):
            return HashLookUp.apply(points, self.resolutions, *tables)
        return look_up(points, self.resolutions, tables)


def look_up(
    points: Float[Tensor, "n 3"], resolutions: Sequence[int], tables: Sequence[Float[Tensor, "_ channels"]]
) -> Float[Tensor, "n dim"]:
    """What `HashGrid` computes, on any device."""
    unit = (0.5 * points + 0.5).clamp(0.0, 1.0 - 1e-6)
    found = [
        WeightedRows.apply(table, *corners(unit, side, len(table)))
        for side, table in zip(resolutions, tables, strict=True)
    ]
    return torch.cat(found, dim=-1)


def corners(unit: Float[Tensor, "n 3"], side: int, entries: int) -> tuple[Int[Tensor, "n 8"], Float[Tensor, "n 8"]]:
    """Rows of a table of `entries` and trilinear weights of the eight corners around points in [0, 1)."""
    scaled = unit * side
    low = scaled.floor()
    upper = scaled - low
    cell, dense = low.long(), (side + 1) ** 3 == entries
    factors = (1, side + 1, (side + 1) ** 2) if dense else PRIMES
    terms = [(cell[:, axis] * factor, (cell[:, axis] + 1) * factor) for axis, factor in enumerate(factors)]
    shares = [(1.0 - upper[:, axis], upper[:, axis]) for axis in range(3)]
    rows, weights = [], []
    for x, y, z in product((0, 1), repeat=3):
        a, b, c = terms[0][x], terms[1][y], terms[2][z]
        rows.append(a + b + c if dense else (a ^ b ^ c) & (entries - 1))
        weights.append(shares[0][x] * shares[1][y] * shares[2][z])
    return torch.stack(rows, dim=-1), torch.stack(weights, dim=-1)
