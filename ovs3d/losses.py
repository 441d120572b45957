"""The losses of the semantic field, one equation each, as pure functions that return one number each.

Source: 3D-OVS (arXiv 2305.14093), section 3, where a function names no other. Every function computes in float32, also
under autocast (float64 stays float64), ignores whatever stands in rows that are not valid, and gives zero with zero
gradient when no row is valid.
"""

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ovs3d.relevancy import full_precision, inverse_length, unit, zero_unless

# Stands in for log 0: exp of it is exactly zero in float32 and float64, yet zero times it is zero and not NaN.
LOG_ZERO = -1e4
# The smallest probability whose logarithm is taken; p log p is far below rounding there.
SMALLEST = 1e-30
PAIRS_AT_A_TIME = 4096


def _mean_over_valid(values: Float[Tensor, " rays"], valid: Bool[Tensor, " rays"]) -> Float[Tensor, ""]:
    return torch.where(valid, values, 0.0).sum() / valid.sum().clamp_min(1)


@full_precision
def feature_loss(
    rendered: Float[Tensor, "rays dim"], target: Float[Tensor, "rays dim"], valid: Bool[Tensor, " rays"]
) -> Float[Tensor, ""]:
    """Mean over valid rays of 1 - cos(F, normalise(sum_s S_s f_s)), in [0, 2] (feature loss of arXiv 2305.14093).

    Departure: the authors minimise -cos, which has the same gradient and is negative.

    Args:
        rendered: the field's decoded feature F per ray, of any length.
        target: `relevancy.select_features`; its gradient flows on to the selection.
        valid: rays with at least one valid scale.
    """
    rendered, target = zero_unless(valid, rendered), zero_unless(valid, target)
    cosine = torch.linalg.vecdot(rendered, target) * inverse_length(rendered) * inverse_length(target)
    return _mean_over_valid(1.0 - cosine, valid)


@full_precision
def coarseness(selection: Float[Tensor, "rays scales"], valid: Bool[Tensor, " rays"]) -> Float[Tensor, ""]:
    """How coarse the selected scales are, in [0, 1]: mean over rays of sum_s S_s (n - 1 - s) / (n - 1), n scales.

    Not of 3D-OVS. Its losses ask the selection for what all views agree on, and that windows wider than a thing show
    what is around it, all views agree.

    Args:
        selection: softmax over scales, from coarse to fine; of one scale alone the coarseness is 0.
        valid: rays at which all scales say something; elsewhere a finer one may be none to listen to.
    """
    scales = selection.shape[-1]
    steps = torch.arange(scales - 1, -1, -1, device=selection.device, dtype=selection.dtype)
    return _mean_over_valid(selection @ steps / max(1, scales - 1), valid)


def distillation_loss(
    rendered: Float[Tensor, "rays dim"], teacher: Float[Tensor, "rays dim"], valid: Bool[Tensor, " rays"]
) -> Float[Tensor, ""]:
    """Mean over valid rays of 1 - cos(rendered, teacher), in [0, 2]; the teacher (DINO, ...) gets no gradient."""
    return feature_loss(rendered, teacher.detach(), valid)


@full_precision
def js_divergence(log_p: Float[Tensor, "*n classes"], log_q: Float[Tensor, "*n classes"]) -> Float[Tensor, "*n"]:
    """Jensen-Shannon divergence of distributions over the last axis, in nats, in [0, ln 2], not reduced.

    JS = 1/2 KL(P || M) + 1/2 KL(Q || M) with M = (P + Q) / 2, computed in log space with 0 * (-inf) = 0. The authors of
    arXiv 2305.14093 go through probabilities, which is not finite for a probability of zero.

    Args:
        log_p: log-probabilities; -inf is allowed.
        log_q: log-probabilities; -inf is allowed.
    """
    log_p, log_q = log_p.clamp_min(LOG_ZERO), log_q.clamp_min(LOG_ZERO)
    log_m = torch.logaddexp(log_p, log_q) - math.log(2.0)
    return 0.5 * (log_p.exp() * (log_p - log_m) + log_q.exp() * (log_q - log_m)).sum(dim=-1)


@full_precision
def rda_loss(
    rendered_relevancy: Float[Tensor, "rays classes"],
    selected: Float[Tensor, "rays classes"],
    valid: Bool[Tensor, " rays"],
    temperature_p: float,
    temperature_q: float,
) -> Float[Tensor, ""]:
    """Relevancy-distribution alignment (arXiv 2305.14093): mean over valid rays of JS(P, Q), in [0, ln 2].

    P = softmax_c(rendered / temperature_p), Q = softmax_c(selected / temperature_q). Both sides carry gradient: P to
    the field, Q to the selection. Departure: the authors feed F · t with F not normalised and temperatures of one; give
    that product and 1.0 to reproduce it.

    Args:
        rendered_relevancy: `relevancy.relevancy` of the rendered feature, in [-1, 1].
        selected: `relevancy.selected_relevancy`, of order one.
        valid: rays with at least one valid scale.
        temperature_p: of the rendered distribution, > 0.
        temperature_q: of the teacher's distribution, > 0.
    """
    mask = valid[:, None]
    log_p = torch.log_softmax(torch.where(mask, rendered_relevancy, 0.0) / temperature_p, dim=-1)
    log_q = torch.log_softmax(torch.where(mask, selected, 0.0) / temperature_q, dim=-1)
    return _mean_over_valid(js_divergence(log_p, log_q), valid)


def sample_pairs(
    patches: int, tokens: int, n_pairs: int | None, generator: torch.Generator | None = None
) -> Int[Tensor, "patches pairs 2"]:
    """Draws `n_pairs` ordered token pairs (i, j) per patch, uniformly and with replacement; None gives all of them."""
    if n_pairs is None:
        every = torch.arange(tokens)
        return torch.cartesian_prod(every, every).expand(patches, -1, -1)
    device = torch.device("cpu") if generator is None else generator.device
    return torch.randint(tokens, (patches, n_pairs, 2), generator=generator, device=device)


def _entropy(probabilities: Float[Tensor, "*n classes"]) -> Float[Tensor, "*n"]:
    return -(probabilities * probabilities.clamp_min(SMALLEST).log()).sum(dim=-1)


def _cosines(
    directions: Float[Tensor, "rows dim"], first: Int[Tensor, " pairs"], second: Int[Tensor, " pairs"]
) -> Float[Tensor, " pairs"]:
    """Dot products of pairs of rows; few at a time, so that the rows stay in the processor's cache."""
    pairs = zip(first.split(PAIRS_AT_A_TIME), second.split(PAIRS_AT_A_TIME), strict=True)
    parts = [torch.linalg.vecdot(directions.index_select(0, i), directions.index_select(0, j)) for i, j in pairs]
    return torch.cat(parts)


@full_precision
def fda_loss(
    log_probs: Float[Tensor, "patches tokens classes"],
    dino: Float[Tensor, "patches tokens dim"],
    shift: float,
    valid: Bool[Tensor, "patches tokens"],
    n_pairs: int | None = None,
    generator: torch.Generator | None = None,
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Feature-distribution alignment (arXiv 2305.14093): pulls together what DINO finds alike, pushes apart the rest.

    corr_ij = cos(dino_i, dino_j) - shift, D_ij = JS(p_i, p_j) over ordered pairs of valid tokens of one patch;
    positive = sum(max(corr, 0) D) / count_nonzero(max(corr, 0)) >= 0,
    negative = sum(min(corr, 0) D) / count_nonzero(min(corr, 0)) <= 0; each 0 where it has no pair (the authors: NaN).
    Sums and counts run over all patches together. Departure: the authors take all pairs; here `n_pairs` random ones
    per patch, with D = H((p + q) / 2) - (H(p) + H(q)) / 2, the same number with one logarithm per pair and class.

    Args:
        log_probs: log-softmax of relevancy / tau per token; -inf is allowed. Only this carries gradient.
        dino: DINO features of the same tokens, of any length.
        shift: the cosine above which two tokens should agree (authors: 0.7).
        valid: tokens that take part.
        n_pairs: pairs per patch; None for all tokens x tokens, i = j included as with the authors.
        generator: where the pairs come from.

    Returns:
        (positive, negative), to be weighted and added.
    """
    patches, tokens, _ = log_probs.shape
    pairs = sample_pairs(patches, tokens, n_pairs, generator).to(log_probs.device)
    start_of_patch = torch.arange(patches, device=pairs.device)[:, None, None] * tokens
    first, second = (pairs + start_of_patch).reshape(-1, 2).unbind(dim=-1)
    with torch.no_grad():
        directions, in_use = unit(dino), valid.flatten()
        if n_pairs is None:
            cosine = (directions @ directions.mT).flatten()
        else:
            cosine = _cosines(directions.flatten(0, 1), first, second)
        corr = torch.where(in_use[first] & in_use[second], cosine - shift, 0.0)
    probs = torch.where(valid[..., None], log_probs, 0.0).flatten(0, 1).exp()
    entropy = _entropy(probs)
    middle = 0.5 * (probs.index_select(0, first) + probs.index_select(0, second))
    divergence = _entropy(middle) - 0.5 * (entropy.index_select(0, first) + entropy.index_select(0, second))
    positive, negative = corr.clamp_min(0.0), corr.clamp_max(0.0)
    return (
        (positive * divergence).sum() / positive.count_nonzero().clamp_min(1),
        (negative * divergence).sum() / negative.count_nonzero().clamp_min(1),
    )
