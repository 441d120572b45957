"""Features as colours: alike where they are alike, whatever they say."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

TAIL = 0.02
"""Part of the features, at either end of a component, that saturates."""


@dataclass(frozen=True)
class PrincipalColours:
    """The first three principal components of some features, stretched to [0, 1]; fit once, so that colours stay.

    Signs are chosen so that the same features give the same colours on every machine.
    """

    mean: Float[Tensor, " dim"]
    axes: Float[Tensor, "dim 3"]
    low: Float[Tensor, "3"]
    high: Float[Tensor, "3"]

    @classmethod
    def fit(cls, features: Float[Tensor, "n dim"]) -> "PrincipalColours":
        """From at least three features of at least three numbers."""
        features = features.float()
        mean = features.mean(dim=0)
        centred = features - mean
        axes = torch.linalg.eigh(centred.T @ centred).eigenvectors[:, -3:].flip(-1)
        axes = axes * axes.gather(0, axes.abs().argmax(dim=0, keepdim=True)).sign()
        components = centred @ axes
        ordered = components.sort(dim=0).values
        last = len(ordered) - 1
        return cls(mean, axes, ordered[int(TAIL * last)], ordered[last - int(TAIL * last)])

    def __call__(self, features: Float[Tensor, "*n dim"]) -> Float[Tensor, "*n 3"]:
        """Colours in [0, 1]."""
        components = (features.float() - self.mean) @ self.axes
        return ((components - self.low) / (self.high - self.low).clamp(min=1e-8)).clamp(0.0, 1.0)
