"""How well a rendered or taught feature fits a word, and how the scales of a teacher are weighed per ray.

Relevancy is the cosine similarity of a feature and a text embedding, in [-1, 1]. Normalised relevancy is the same
number stretched per (scale, class), by a range that becomes [0, 1]. The selection is a softmax over scales, per ray
(arXiv 2305.14093, section 3.2).

All functions here compute in float32, also under autocast and for half-precision input; float64 stays float64.
"""

import functools
from collections.abc import Callable
from typing import Literal, ParamSpec, TypeVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.autograd.function import once_differentiable

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

Normalisation = Literal["balanced", "scene", "view"]
LERF_SHARPNESS = 10.0
"""Inverse temperature of LERF's softmax over a word and a negative."""
BALANCING_ROUNDS = 5
# Below this length a vector has no direction worth the name. Features are of order one.
SHORTEST = 1e-6


def full_precision(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Runs `function` outside autocast, with every half-precision tensor argument lifted to float32."""

    def lift(argument: object) -> object:
        if isinstance(argument, Tensor) and argument.dtype in (torch.float16, torch.bfloat16):
            return argument.float()
        return argument

    @functools.wraps(function)
    def lifted(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        devices = [value.device.type for value in (*args, *kwargs.values()) if isinstance(value, Tensor)]
        with torch.autocast(devices[0], enabled=False):
            return function(*map(lift, args), **{name: lift(value) for name, value in kwargs.items()})  # pyright: ignore[reportCallIssue]

    return lifted


class _InverseLength(torch.autograd.Function):
    """`inverse_length`, whose gradient takes one pass over the vectors where autograd's own takes five."""

    @staticmethod
    def forward(ctx, vectors):
        """From vectors [..., dim]."""
        length = torch.linalg.vector_norm(vectors, dim=-1)
        long_enough = length > SHORTEST
        inverse = torch.where(long_enough, 1.0 / torch.where(long_enough, length, 1.0), 0.0)
        ctx.save_for_backward(vectors, inverse)
        return inverse

    @staticmethod
    @once_differentiable
    def backward(ctx, *gradients):  # pyright: ignore[reportIncompatibleMethodOverride]
        """Gradient of the vectors: d(1/|v|) = -v / |v|^3."""
        vectors, inverse = ctx.saved_tensors
        return vectors * (-gradients[0] * inverse**3)[..., None]


@full_precision
def inverse_length(vectors: Float[Tensor, "*n dim"]) -> Float[Tensor, "*n"]:
    """1 / |v| over the last axis; 0 with zero gradient for a vector shorter than 1e-6."""
    return _InverseLength.apply(vectors)  # pyright: ignore[reportReturnType]


@full_precision
def unit(vectors: Float[Tensor, "*n dim"]) -> Float[Tensor, "*n dim"]:
    """Scales vectors to unit length along the last axis; a vector shorter than 1e-6 becomes zero, with zero gradient.

    `torch.nn.functional.normalize` would hand a zero vector a gradient of 1e12 instead.
    """
    return vectors * inverse_length(vectors)[..., None]


@full_precision
def relevancy(features: Float[Tensor, "*n dim"], text: Float[Tensor, "classes dim"]) -> Float[Tensor, "*n classes"]:
    """Cosine similarity of every feature and every class, in [-1, 1] (arXiv 2305.14093, equation of r[s, c, p]).

    Args:
        features: of any length; a zero vector has relevancy zero to every class.
        text: text embeddings of any length, in the same embedding space as `features`.
    """
    return (features @ unit(text).T) * inverse_length(features)[..., None]


def against_negatives(
    cosines: Float[Tensor, "*n words"], negatives: Float[Tensor, "*n phrases"]
) -> Float[Tensor, "*n words"]:
    """Probability of each word against its strongest negative, in [0, 1] (LERF, arXiv 2303.09553, section 3.4).

    min_i exp(s q) / (exp(s q) + exp(s n_i)) with cosines q of the words and n_i of at least one negative, and s = 10 as
    in LERF's code: above 0.5 where a feature is more like the word than like every negative.
    """
    return torch.sigmoid(LERF_SHARPNESS * (cosines - negatives.amax(dim=-1, keepdim=True)))


def zero_unless(valid: Bool[Tensor, "*n"], vectors: Float[Tensor, "*n dim"]) -> Float[Tensor, "*n dim"]:
    """Zeros in place of vectors that are not valid, which may hold anything; no copy on a CPU where all are valid."""
    if valid.device.type == "cpu" and bool(valid.all()):  # A GPU would have to be waited for.
        return vectors
    return torch.where(valid[..., None], vectors, 0.0)


@full_precision
def normalise_relevancy(
    relevancies: Float[Tensor, "*n scales classes"],
    low: Float[Tensor, "*#n scales classes"],
    high: Float[Tensor, "*#n scales classes"],
) -> Float[Tensor, "*n scales classes"]:
    """Stretches relevancy per (scale, class), so that low is 0 and high is 1; 0 where high == low.

    `low` and `high` are one range for all, or one for each entry of `*n`.
    The authors of arXiv 2305.14093 take low and high over the pixels of each view, so that a class absent from a view
    still fills [0, 1] there. Give the range of all training views (`RelevancyRange`) to keep it low in that view.
    """
    extent = high - low
    is_open = extent > 0
    stretched = (relevancies - low) / torch.where(is_open, extent, 1.0)
    return torch.where(is_open, stretched, 0.0)


class RelevancyRange:
    """The lowest and the highest relevancy per (scale, class), gathered view by view."""

    def __init__(self, scales: int, classes: int, device: torch.device | str = "cpu") -> None:
        self._low = torch.full((scales, classes), torch.inf, device=device)
        self._high = torch.full((scales, classes), -torch.inf, device=device)

    @torch.no_grad()
    def update(self, relevancies: Float[Tensor, "cells scales classes"], valid: Bool[Tensor, "cells scales"]) -> None:
        """Widens the range by the valid cells of one view; cells that are not valid may hold anything."""
        if relevancies.shape[0] == 0:
            return
        values, mask = relevancies.to(self._low), valid.to(self._low.device)[..., None]
        self._low = torch.minimum(self._low, torch.where(mask, values, torch.inf).amin(dim=0))
        self._high = torch.maximum(self._high, torch.where(mask, values, -torch.inf).amax(dim=0))

    @property
    def low(self) -> Float[Tensor, "scales classes"]:
        """The lowest relevancy seen; 0 for a scale without any valid cell."""
        return torch.where(self._low <= self._high, self._low, 0.0)

    @property
    def high(self) -> Float[Tensor, "scales classes"]:
        """The highest relevancy seen; 0 for a scale without any valid cell, so that the range there is closed."""
        return torch.where(self._low <= self._high, self._high, 0.0)


@torch.no_grad()
def balanced_range(
    relevancies: Float[Tensor, "cells scales classes"],
    low: Float[Tensor, "scales classes"],
    high: Float[Tensor, "scales classes"],
) -> tuple[Float[Tensor, "scales classes"], Float[Tensor, "scales classes"]]:
    """A range as wide as [low, high], moved to each class's middle, where classes meet.

    An encoder is nearer to some words than to others wherever it looks, and the lowest and the highest of many cells
    are chance. The middle of a class is its mean over the cells of every class in turn, each class weighted by the root
    of its number of cells: by the number itself what is large would lose its borders to what is small, without it what
    is hardly anywhere would count as much as the walls. Which class a cell is of follows from the middles, in rounds.

    Args:
        relevancies: of cells that are valid at every scale, maybe none, which leaves the middles between low and high.
        low: `RelevancyRange.low` of these cells and of others.
        high: `RelevancyRange.high` of the same.
    """
    extent, classes = high - low, low.shape[-1]
    values = normalise_relevancy(relevancies, low, high)
    middle = torch.full_like(low, 0.5)
    for _ in range(BALANCING_ROUNDS if len(values) > 0 else 0):
        best = (values - middle).mean(dim=1).argmax(dim=-1)
        counts = torch.bincount(best, minlength=classes)
        sums = torch.zeros(classes, *low.shape, device=low.device).index_add_(0, best, values)
        means = sums / counts.clamp(min=1)[:, None, None]
        middle = torch.einsum("k,ksc->sc", counts.sqrt() / counts.sqrt().sum(), means)
    centre = low + middle * extent
    return centre - 0.5 * extent, centre + 0.5 * extent


def _selection_over_valid(
    selection: Float[Tensor, "rays scales"], valid: Bool[Tensor, "rays scales"]
) -> Float[Tensor, "rays scales"]:
    """The selection restricted to valid scales, with sum one again; zero where no valid scale has any weight."""
    kept = torch.where(valid, selection, 0.0)
    total = kept.sum(dim=-1, keepdim=True)
    return torch.where(total > 0, kept / torch.where(total > 0, total, 1.0), 0.0)


@full_precision
def select_features(
    features: Float[Tensor, "rays scales dim"],
    selection: Float[Tensor, "rays scales"],
    valid: Bool[Tensor, "rays scales"],
) -> Float[Tensor, "rays dim"]:
    """The teacher's feature per ray, normalise(sum_s S_s f_s): unit length, or zero where no scale is valid.

    Source: the target of the feature loss of arXiv 2305.14093. The authors have no validity mask: here the selection is
    renormalised over the valid scales. Features of scales that are not valid may hold anything.

    Args:
        features: unit length where valid.
        selection: softmax over scales, sum one. The result carries its gradient.
        valid: which scales the teacher could see.
    """
    seen = zero_unless(valid, features)
    return unit(torch.einsum("rs,rsd->rd", _selection_over_valid(selection, valid), seen))


@full_precision
def selected_relevancy(
    normalised: Float[Tensor, "rays scales classes"],
    selection: Float[Tensor, "rays scales"],
    valid: Bool[Tensor, "rays scales"],
) -> Float[Tensor, "rays classes"]:
    """The teacher's normalised relevancy per ray, sum_s S_s rbar_s; zero where no scale is valid.

    Source: the argument of Q in the RDA loss of arXiv 2305.14093; the selection is renormalised over valid scales.
    """
    seen = zero_unless(valid, normalised)
    return torch.einsum("rs,rsc->rc", _selection_over_valid(selection, valid), seen)
