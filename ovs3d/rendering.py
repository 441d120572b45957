"""Volume rendering along rays, as pure functions.

Distances `t` are in scene units along unit ray directions. `s` is the spacing coordinate in [0, 1] in which samples
are drawn: linear in distance near the camera, linear in disparity far away. `edges` bound `samples` intervals, so they
have one entry more.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ovs3d.native.grids import contracted, supported

NEAR_LINEAR = 1.0
"""Distance up to which `s` grows linearly; half of all uniformly drawn samples fall before it."""


def contract(points: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 3"]:
    """Maps all of space into the cube [-1, 1]^3.

    The L-infinity form of the contraction of mip-NeRF 360 (arXiv 2111.12077, eq. 10), halved: the cube [-1, 1]^3 keeps
    its shape and fills [-0.5, 0.5]^3, everything beyond is squeezed into the rest.
    """
    if supported(points, ()):
        return contracted(points)
    radius = points.abs().amax(dim=-1, keepdim=True).clamp(min=1.0)
    return (2.0 - 1.0 / radius) * points / radius * 0.5


def distance_to_spacing(t: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """Un-normalised spacing coordinate of distances `t` > 0: t/2 before `NEAR_LINEAR`, 1 - 1/(2t) after."""
    return torch.where(t < NEAR_LINEAR, 0.5 * t, 1.0 - 0.5 / t.clamp(min=NEAR_LINEAR))


def spacing_to_distance(s: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """Inverse of `distance_to_spacing`."""
    return torch.where(s < 0.5, 2.0 * s, 0.5 / (1.0 - s).clamp(min=1e-6))


def render_weights(
    density: Float[Tensor, "*rays samples"], deltas: Float[Tensor, "*rays samples"]
) -> Float[Tensor, "*rays samples"]:
    """Weights of the samples of each ray, `T_i (1 - exp(-sigma_i delta_i))` (NeRF, arXiv 2003.08934, eq. 3).

    Args:
        density: sigma >= 0, per scene unit.
        deltas: lengths of the intervals, in scene units.

    Returns:
        Weights in [0, 1]; their sum over samples is the opacity of the ray, at most 1.
    """
    optical = density * deltas
    before = torch.cumsum(optical, dim=-1) - optical
    return torch.exp(-before) * -torch.expm1(-optical)


def composite(
    weights: Float[Tensor, "*rays samples"], values: Float[Tensor, "*rays samples dim"]
) -> Float[Tensor, "*rays dim"]:
    """Weighted sum of `values` along each ray."""
    return (weights[..., None, :] @ values)[..., 0, :]


def sample_pdf(
    edges: Float[Tensor, "rays edges"],
    weights: Float[Tensor, "rays edges-1"],
    count: int,
    jitter: Float[Tensor, "rays 1"] | None,
    padding: float = 3e-4,
) -> Float[Tensor, "rays {count}+1"]:
    """Draws `count` intervals from the piecewise-constant density that `weights` describe (NeRF, section 5.2).

    Args:
        edges: increasing borders of the bins.
        weights: non-negative, need not sum to 1.
        count: number of intervals to return.
        jitter: one number in [0, 1) per ray that shifts all of its samples together; None takes the middle.
        padding: added to every weight, so that no bin is left without samples.

    Returns:
        Increasing borders of the new intervals, within those of `edges`.
    """
    padded = weights + padding
    cdf = torch.cumsum(padded, dim=-1)
    cdf = torch.nn.functional.pad(cdf / cdf[:, -1:], (1, 0))
    shift = 0.5 if jitter is None else jitter
    u = (torch.arange(count + 1, device=edges.device, dtype=edges.dtype) + shift) / (count + 1)
    u = u.expand(len(edges), count + 1).contiguous()
    right = torch.searchsorted(cdf, u, right=True).clamp(1, edges.shape[-1] - 1)
    cdf_low, cdf_high = cdf.gather(1, right - 1), cdf.gather(1, right)
    low, high = edges.gather(1, right - 1), edges.gather(1, right)
    return low + (high - low) * ((u - cdf_low) / (cdf_high - cdf_low).clamp(min=1e-8)).clamp(0.0, 1.0)


def interlevel_loss(
    edges: Float[Tensor, "rays edges"],
    weights: Float[Tensor, "rays edges-1"],
    proposal_edges: Float[Tensor, "rays proposal_edges"],
    proposal_weights: Float[Tensor, "rays proposal_edges-1"],
) -> Float[Tensor, ""]:
    """Makes the proposal an upper bound of the field's weights (mip-NeRF 360, arXiv 2111.12077, eq. 13).

    The field's own `edges` and `weights` receive no gradient. Mean over rays.
    """
    edges, weights = edges.detach(), weights.detach()
    cumulative = torch.nn.functional.pad(torch.cumsum(proposal_weights, dim=-1), (1, 0))
    low = torch.searchsorted(proposal_edges.contiguous(), edges[:, :-1].contiguous(), right=True) - 1
    high = torch.searchsorted(proposal_edges.contiguous(), edges[:, 1:].contiguous(), right=False)
    bins = proposal_weights.shape[-1]
    bound = cumulative.gather(1, high.clamp(0, bins)) - cumulative.gather(1, low.clamp(0, bins))
    return ((weights - bound).clamp(min=0.0).square() / (weights + 1e-5)).sum(dim=-1).mean()


def distortion_loss(edges: Float[Tensor, "rays edges"], weights: Float[Tensor, "rays edges-1"]) -> Float[Tensor, ""]:
    """Draws the weights of a ray together (mip-NeRF 360, arXiv 2111.12077, eq. 15). Mean over rays.

    The double sum is taken in linear time: middles of intervals increase along the ray, so running sums suffice.
    """
    middle = 0.5 * (edges[:, 1:] + edges[:, :-1])
    weight_before = torch.cumsum(weights, dim=-1) - weights
    moment_before = torch.cumsum(weights * middle, dim=-1) - weights * middle
    between = 2.0 * (weights * (middle * weight_before - moment_before)).sum(dim=-1)
    within = (weights.square() * (edges[:, 1:] - edges[:, :-1])).sum(dim=-1) / 3.0
    return (between + within).mean()


def distance_loss(
    borders: Float[Tensor, "rays edges"],
    weights: Float[Tensor, "rays edges-1"],
    distance: Float[Tensor, " rays"],
    tolerance: float = 0.05,
) -> Float[Tensor, ""]:
    """Asks a ray to be empty before a known distance and to end there (the terms of URF, arXiv 2111.14643, section 4).

    The weight before the distance, plus what is missing to 1 around it; mean over rays.

    Args:
        borders: of the intervals, in scene units.
        weights: of the intervals.
        distance: known distances in scene units; 0 where none is known, which adds nothing.
        tolerance: part of the distance, beside half an interval, by which a sample may miss it.
    """
    middle, reach = 0.5 * (borders[:, 1:] + borders[:, :-1]), 0.5 * (borders[:, 1:] - borders[:, :-1])
    offset, reach = middle - distance[:, None], reach + tolerance * distance[:, None]
    before = (weights * (offset < -reach)).sum(dim=-1)
    around = (weights * (offset.abs() <= reach)).sum(dim=-1)
    return ((before + (1.0 - around).clamp(min=0.0)) * (distance > 0.0)).mean()


def heaviest_samples(
    weights: Float[Tensor, "rays samples"], count: int
) -> tuple[Float[Tensor, "rays count"], Int[Tensor, "rays count"]]:
    """The `count` heaviest samples of each ray, their weights scaled so that the ray's opacity is kept.

    Returns:
        Weights of the kept samples and their indices along the ray, both in order along the ray.
    """
    indices = weights.topk(min(count, weights.shape[-1]), dim=-1).indices.sort(dim=-1).values
    kept = weights.gather(-1, indices)
    opacity = weights.sum(dim=-1, keepdim=True)
    return kept * opacity / kept.sum(dim=-1, keepdim=True).clamp(min=1e-8), indices


def median_depth(
    weights: Float[Tensor, "rays samples"], distances: Float[Tensor, "rays samples"]
) -> Float[Tensor, " rays"]:
    """Distance at which half of the ray's opacity is reached; robust where a ray grazes two surfaces."""
    cumulative = torch.cumsum(weights, dim=-1)
    index = torch.searchsorted(cumulative, 0.5 * cumulative[:, -1:]).clamp(max=weights.shape[-1] - 1)
    return distances.gather(-1, index)[:, 0]
