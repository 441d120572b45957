"""Differentiable look-ups in feature grids by the compiled kernels, for float32 tensors on a CPU.

Only the entries get gradients, points do not. Each function equals the PyTorch code of the module that calls it.
"""

import ctypes
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from ovs3d.native.calls import call, integers, pointer, pointers
from ovs3d.native.library import library


def supported(points: Tensor, grids: Sequence[Tensor]) -> bool:
    """Whether the kernels can do a look-up: on a CPU, in float32, without a gradient of the points, and compiled."""
    fits = all(each.is_cpu and each.dtype == torch.float32 for each in (points, *grids))
    plain = not points.requires_grad and all(grid.is_contiguous() for grid in grids)
    return fits and plain and library() is not None


def contracted(points: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 3"]:
    """What `rendering.contract` computes of finite points, in one pass over memory."""
    points = points.contiguous()
    out = torch.empty_like(points)
    call("contract", ctypes.c_int64(points.numel() // 3), pointer(points), pointer(out))
    return out


class PlaneProduct(torch.autograd.Function):
    """Products of the look-ups in three planes, at every level: [n, levels * channels]."""

    @staticmethod
    def forward(ctx, points, training, *grids):
        """From `points` [n, 3], whether a backward pass may follow, and planes [3, side, side, channels] per level."""
        points, (count, levels, channels) = points.contiguous(), (len(points), len(grids), grids[0].shape[-1])
        out = points.new_empty(count, levels * channels)
        wanted = training and any(ctx.needs_input_grad)
        factors = points.new_empty(count, levels, 3, channels) if wanted else None
        sides = integers([grid.shape[1] for grid in grids])
        call("planes_forward", channels, ctypes.c_int64(count), pointer(points), levels, sides, pointers(grids),
             pointer(factors), pointer(out))  # fmt: skip
        ctx.save_for_backward(points, factors)
        ctx.shapes = [grid.shape for grid in grids]
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, *gradients):  # pyright: ignore[reportIncompatibleMethodOverride]
        """Gradients of the planes."""
        points, factors = ctx.saved_tensors
        if factors is None:
            raise RuntimeError("The planes were looked up as not for training; there is no backward pass.")
        into = [points.new_zeros(shape) for shape in ctx.shapes]
        sides = integers([shape[1] for shape in ctx.shapes])
        gradient = gradients[0].contiguous()
        call("planes_backward", ctx.shapes[0][-1], ctypes.c_int64(len(points)), pointer(points), len(into), sides,
             pointer(factors), pointer(gradient), pointers(into))  # fmt: skip
        return None, None, *into


class HashLookUp(torch.autograd.Function):
    """Trilinear look-ups in hash tables, at every level: [n, levels * channels]."""

    @staticmethod
    def forward(ctx, points, sides, *tables):
        """From `points` [n, 3], cells along a side of every level, and its table [entries, channels]."""
        points, levels, channels = points.contiguous(), len(tables), tables[0].shape[-1]
        ctx.sides, ctx.shapes = sides, [table.shape for table in tables]
        out = points.new_empty(len(points), levels * channels)
        call("hash_forward", channels, ctypes.c_int64(len(points)), pointer(points), levels, integers(sides),
             integers([len(table) for table in tables]), pointers(tables), pointer(out))  # fmt: skip
        ctx.save_for_backward(points)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, *gradients):  # pyright: ignore[reportIncompatibleMethodOverride]
        """Gradients of the tables."""
        (points,) = ctx.saved_tensors
        into = [points.new_zeros(shape) for shape in ctx.shapes]
        gradient = gradients[0].contiguous()
        call("hash_backward", ctx.shapes[0][-1], ctypes.c_int64(len(points)), pointer(points), len(into),
             integers(ctx.sides), integers([len(table) for table in into]), pointer(gradient),
             pointers(into))  # fmt: skip
        return None, None, *into


class DenseLookUp(torch.autograd.Function):
    """Trilinear look-ups in a grid of single numbers: [n]."""

    @staticmethod
    def forward(ctx, points, grid):
        """From `points` [n, 3] and `grid` [side, side, side], z first."""
        points = points.contiguous()
        out = points.new_empty(len(points))
        call("dense_forward", ctypes.c_int64(len(points)), pointer(points), len(grid), pointer(grid), pointer(out))
        ctx.save_for_backward(points)
        ctx.shape = grid.shape
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, *gradients):  # pyright: ignore[reportIncompatibleMethodOverride]
        """Gradient of the grid."""
        (points,) = ctx.saved_tensors
        into = points.new_zeros(ctx.shape)
        gradient = gradients[0].contiguous()
        call("dense_backward", ctypes.c_int64(len(points)), pointer(points), len(into), pointer(gradient),
             pointer(into))  # fmt: skip
        return None, into
