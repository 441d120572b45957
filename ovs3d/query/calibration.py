"""How likely it is that a word is true of what is seen, from cosines.

A cosine says little alone: what else could be said of the same place, and how alike the two texts are, decides. A small
network is fitted to questions with known answers, for each embedding space of its own (`tools/fit_calibration.py`).
"""

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

ASSETS = Path(__file__).parents[1] / "assets"
SUFFIX = "-calibration.json"
SHORTEST = 0.05
"""Distance of two texts below which nothing can be said of their difference."""


@dataclass(frozen=True)
class Calibration:
    """A network of tanh layers from the evidence to the logit of a probability."""

    layers: tuple[tuple[Float[Tensor, "_ _"], Float[Tensor, " _"]], ...]
    """Weights and biases; the last layer has one output."""

    def __call__(self, evidence: Float[Tensor, "*n 4"]) -> Float[Tensor, "*n"]:
        """Probabilities in [0, 1] from what `gather_evidence` gives; 0.5 = as likely as not."""
        hidden = evidence
        for weight, bias in self.layers[:-1]:
            hidden = torch.tanh(hidden @ weight.T + bias)
        weight, bias = self.layers[-1]
        return torch.sigmoid(hidden @ weight.T + bias)[..., 0]


def gather_evidence(
    similarity: Float[Tensor, "*n"], to_others: Float[Tensor, "*n others"], between: Float[Tensor, " others"]
) -> Float[Tensor, "*n 4"]:
    """What the probability depends on.

    The word's cosine; that of the best other word; the distance of the two texts' vectors, which resolves what is
    almost a synonym where a cosine does not; and the cosine along what the word says beyond the other one.

    Args:
        similarity: cosines of features and the word.
        to_others: cosines of the same features and other words.
        between: cosines of the word and the other words.
    """
    best, which = to_others.max(dim=-1)
    shared = between[which]
    distance = (2.0 - 2.0 * shared).clamp(min=0.0).sqrt()
    beyond = (similarity - shared * best) / distance.clamp(min=SHORTEST)
    return torch.stack([similarity, best, distance, beyond], dim=-1)


@lru_cache(maxsize=4)
def load_calibration(space: str) -> Calibration | None:
    """The calibration of an embedding space, or None where none was made: then no probability is told."""
    for path in sorted(ASSETS.glob(f"*{SUFFIX}")):
        stored = json.loads(path.read_text())
        if stored["space"] == space:
            layers = [(torch.tensor(layer["weight"]), torch.tensor(layer["bias"])) for layer in stored["layers"]]
            return Calibration(tuple(layers))
    return None
