"""The loss of tiny-clip, and attention that trains fast on a processor."""

import functools
import math

import torch
from jaxtyping import Bool, Float
from open_clip.transformer import ResidualAttentionBlock
from torch import Tensor, nn


def multi_positive_loss(
    images: Float[Tensor, "n dim"], texts: Float[Tensor, "m dim"], truth: Bool[Tensor, "n m"], scale: Float[Tensor, ""]
) -> Float[Tensor, ""]:
    """CLIP's symmetric cross-entropy (arXiv 2103.00020) where several captions are true of an image, and conversely.

    Both inputs have unit length. The target is uniform over the true pairs of a row, as in supervised contrastive
    learning (arXiv 2004.11362); a caption that is true of no image only serves as a wrong answer.
    """
    logits = scale * images @ texts.T
    return 0.5 * (answer_loss(logits, truth) + answer_loss(logits.T, truth.T))


def answer_loss(logits: Float[Tensor, "n m"], truth: Bool[Tensor, "n m"]) -> Float[Tensor, ""]:
    """Cross-entropy of each row against the uniform distribution over its true columns, less that one's entropy.

    A perfect answer costs nothing. Rows without a true column are left out; with no other row it is 0.
    """
    counts = truth.sum(dim=1)
    if not counts.any():
        return logits.sum() * 0
    target = truth[counts > 0] / counts[counts > 0, None]
    loss = -(target * logits[counts > 0].log_softmax(dim=1)).sum(dim=1) - counts[counts > 0].log()
    return loss.mean()


def train_with_plain_attention(tower: nn.Module) -> None:
    """Replaces the blocks' attention by the written-out form, in float32.

    torch's fused attention has a slow backward pass on processors; with a few dozen tokens this form halves the time
    of a training step. The parameters, hence the saved weights, are the same.
    """
    for block in tower.modules():
        if isinstance(block, ResidualAttentionBlock):
            setattr(block, "attention", functools.partial(_plain_attention, block))  # noqa: B010 - a method is replaced.


def _plain_attention(
    block: ResidualAttentionBlock,
    q_x: Float[Tensor, "n tokens dim"],
    k_x: None = None,
    v_x: None = None,
    attn_mask: Float[Tensor, "tokens tokens"] | None = None,
) -> Float[Tensor, "n tokens dim"]:
    attention = block.attn
    n, tokens, dim = q_x.shape
    heads = attention.num_heads
    projected = torch.nn.functional.linear(q_x, attention.in_proj_weight, attention.in_proj_bias)
    q, k, v = projected.view(n, tokens, 3, heads, dim // heads).permute(2, 0, 3, 1, 4)
    with torch.autocast(q.device.type, enabled=False):
        scores = q.float() @ k.float().transpose(-1, -2) / math.sqrt(dim // heads)
        scores = scores if attn_mask is None else scores + attn_mask.float()
        mixed = scores.softmax(dim=-1) @ v.float()
    return attention.out_proj(mixed.transpose(1, 2).reshape(n, tokens, dim).to(q_x.dtype))
