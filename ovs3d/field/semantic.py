"""The semantic field: what every 3D point says, and the selection volume that tells at which scale to listen."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ovs3d.field.planes import Planes
from ovs3d.field.samples import KeptSamples
from ovs3d.relevancy import inverse_length
from ovs3d.rendering import composite

COLOUR_SCALE = 2.0
"""Brings colours to about the size of trained latents."""
FIRST_VOTES = 1.0
"""Logit of the finest scale's vote before training; that of the coarsest is its negative."""


@dataclass(frozen=True)
class RaySemantics:
    """What the semantic field renders for a batch of rays; heads that the run lacks are None."""

    features: Float[Tensor, "rays dim"]
    """In the embedding space of the classes' texts, not normalised."""
    patch_features: Float[Tensor, "rays patch_dim"] | None
    """In the space of the patch encoder (DINO), not normalised."""
    selection: Float[Tensor, "rays scales"]
    """Softmax over scales."""


def head(dim_in: int, hidden: int, dim_out: int) -> nn.Sequential:
    """The decoder of one space: runs once per ray, on the composited latent."""
    return nn.Sequential(
        nn.Linear(dim_in, hidden),
        nn.ReLU(inplace=True),
        nn.Linear(hidden, hidden),
        nn.ReLU(inplace=True),
        nn.Linear(hidden, dim_out),
    )


class SemanticField(nn.Module):
    """Latents and scale selection at 3D points, composited along rays and decoded once per ray.

    3D-OVS (arXiv 2305.14093) decodes a 512-d feature at every sample; here a small latent is composited first. The
    selection volume is theirs: a sigmoid per sample, composited, then a softmax over scales per ray. Scales go from
    coarse to fine, and where finer ones are preferred the finest counts most at first: the windows of a coarse scale
    agree from everywhere that a small thing is not there, and what the field has once learned of them is not unlearned.

    A latent is what coarse planes hold at a point; along with the composited latents a ray has its colour, the same
    from every side: neighbours that look alike say alike, and borders lie where the colour changes. Finer planes fit
    the noise of single views instead.

    Args:
        resolutions: of the latent planes.
        channels: per plane resolution; a latent has `channels * len(resolutions)` numbers.
        hidden: width of the decoders.
        scales: number of levels that the teacher offers.
        feature_dim: of the embedding space of the texts.
        patch_dim: of the patch encoder's space; 0 leaves that head out.
        sharpness: factor of the composited selection before its softmax; 1 is the authors'.
        selects: learn the selection; without it every scale counts the same.
        prefers_finer: start from the finest scale and not from all alike, as the authors do.
    """

    def __init__(
        self,
        resolutions: tuple[int, ...],
        channels: int,
        hidden: int,
        scales: int,
        feature_dim: int,
        patch_dim: int,
        sharpness: float,
        selects: bool = True,
        prefers_finer: bool = False,
    ) -> None:
        super().__init__()
        self.sharpness, self.selects = sharpness, selects
        self.latent = Planes(resolutions, channels)
        self.feature_head = head(self.latent.dim + 3, hidden, feature_dim)
        self.patch_head = head(self.latent.dim + 3, hidden, patch_dim) if patch_dim > 0 else None
        self.selection_planes = Planes((128,), 8)
        self.selection_layer = nn.Linear(self.selection_planes.dim, scales)
        nn.init.zeros_(self.selection_layer.weight)
        first = FIRST_VOTES if prefers_finer else 0.0
        with torch.no_grad():
            self.selection_layer.bias.copy_(torch.linspace(-first, first, scales))

    def render(self, samples: KeptSamples) -> RaySemantics:
        """Renders the semantics of rays from their `samples`."""
        latent = self.composite_latent(samples)
        return RaySemantics(
            features=self.feature_head(latent),
            patch_features=self.patch_head(latent) if self.patch_head is not None else None,
            selection=self.select(samples),
        )

    def select(self, samples: KeptSamples) -> Float[Tensor, "rays scales"]:
        """The selection volume along rays: a softmax over scales."""
        if not self.selects:
            scales = self.selection_layer.out_features
            return samples.weights.new_full((len(samples.weights), scales), 1.0 / scales)
        votes = torch.sigmoid(self.selection_layer(self.selection_planes(samples.points.reshape(-1, 3))))
        votes = votes.reshape(*samples.weights.shape, -1)
        return torch.softmax(self.sharpness * composite(samples.weights, votes), dim=-1)

    def composite_latent(self, samples: KeptSamples) -> Float[Tensor, "rays latent"]:
        """Latents of the samples, weighted and summed along each ray, and the ray's colour."""
        latents = self.latent(samples.points.reshape(-1, 3)).reshape(*samples.weights.shape, -1)
        colours = COLOUR_SCALE * (samples.colours - 0.5)
        return torch.cat([composite(samples.weights, latents), colours], dim=-1)

    def hidden(self, samples: KeptSamples) -> Float[Tensor, "rays hidden"]:
        """Rays ready to be compared with words: what the last layer, a linear one, would decode to features."""
        return self.feature_head[:-1](self.composite_latent(samples))

    def products(
        self, hidden: Float[Tensor, "*rays hidden"], text: Float[Tensor, "words dim"]
    ) -> Float[Tensor, "*rays words"]:
        """Dot products of the rays' features, which need not be decoded, and `text` embeddings."""
        last = self.last_layer
        return hidden @ (text @ last.weight).T + text @ last.bias

    def inverse_lengths(self, hidden: Float[Tensor, "*rays hidden"]) -> Float[Tensor, "*rays 1"]:
        """By which `products` become relevancies: 1 / length of the rays' features, 0 where they have none."""
        return inverse_length(self.last_layer(hidden))[..., None]

    @property
    def last_layer(self) -> nn.Linear:
        """Of the decoder to the texts' space."""
        layer = self.feature_head[-1]
        assert isinstance(layer, nn.Linear)
        return layer
