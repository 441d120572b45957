"""Calls of compiled kernels, and their arguments."""

import ctypes
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ovs3d.native.library import library


def pointer(values: Tensor | None) -> ctypes.c_void_p:
    """Address of a contiguous tensor."""
    assert values is None or values.is_contiguous()
    return ctypes.c_void_p(None if values is None else values.data_ptr())


def pointers(values: Sequence[Tensor]) -> ctypes.Array:
    """Addresses of contiguous tensors."""
    return (ctypes.c_void_p * len(values))(*(pointer(each).value for each in values))


def integers(values: Sequence[int]) -> ctypes.Array:
    """A C array of ints."""
    return (ctypes.c_int * len(values))(*values)


def call(name: str, *arguments: Any) -> None:
    """Calls a kernel, on as many threads as PyTorch uses."""
    getattr(library(), name)(torch.get_num_threads(), *arguments)
