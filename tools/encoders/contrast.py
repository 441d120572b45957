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
    learning (arXiv 2004.11362); every row and every column must have one.
    """
    logits = scale * images @ texts.T
    loss = logits.new_zeros(())
    for scores, wanted in ((logits, truth), (logits.T, truth.T)):
        target = wanted.float() / wanted.sum(dim=1, keepdim=True)
        # Less the target's entropy, so that a perfect answer costs nothing.
        entropy = -(target * target.clamp_min(1e-9).log()).sum(dim=1)
        loss = loss + 0.5 * (-(target * scores.log_softmax(dim=1)).sum(dim=1) - entropy).mean()
    return loss


def train_with_plain_attention(tower: nn.Module) -> None:
    """Replaces the blocks' attention by the written-out form, in float32.

    torch's fused attention has a slow backward pass on processors; with a few dozen tokens this form halves the time
    of a training step. The parameters, hence the saved weights, are the same.
    """
    for block in tower.modules():
        if isinstance(block, ResidualAttentionBlock):
            block.attention = functools.partial(_plain_attention, block)


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
