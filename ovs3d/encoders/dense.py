"""Dense CLIP embeddings: one vector per patch in the image-text space, without any training.

The class token of a CLIP tower gathers the patches' *values*; MaskCLIP (arXiv 2112.01071) therefore reads each patch's
own value through the output projections. SCLIP (arXiv 2312.01597) and NACLIP (arXiv 2404.08181) first average the
values over patches that look alike and lie near, which removes much of the noise.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from open_clip.modified_resnet import ModifiedResNet
from open_clip.transformer import ResidualAttentionBlock, VisionTransformer
from torch import Tensor, nn

NEIGHBOUR_STD = 5.0
"""Standard deviation, in patches, of the Gaussian that favours near patches (NACLIP's value)."""


def dense_stride(tower: nn.Module) -> int | None:
    """Pixels per cell of `dense_embeddings`, or None.

    Only open_clip's ModifiedResNet and its VisionTransformer have a dense path, and not where that pools by attention
    (CoCa).
    """
    if isinstance(tower, VisionTransformer) and _is_plain(tower):
        return int(tower.conv1.stride[0])
    return 32 if isinstance(tower, ModifiedResNet) else None


def dense_embeddings(tower: nn.Module, images: Float[Tensor, "views 3 h w"]) -> Float[Tensor, "views dim gh gw"]:
    """One embedding per patch, not normalised, in the space of the tower's own image embeddings.

    Args:
        tower: An open_clip VisionTransformer or ModifiedResNet.
        images: Normalised by the tower's mean and standard deviation; h and w multiples of `dense_stride(tower)`.

    Raises:
        ValueError: The tower has no dense path, or the sides do not fit.
    """
    stride = dense_stride(tower)
    height, width = images.shape[-2:]
    if stride is None:
        raise ValueError(f"A {type(tower).__name__} of this kind has no dense path.")
    if height % stride or width % stride:
        raise ValueError(f"The image sides must be multiples of {stride}. Got: {height} x {width}.")
    if isinstance(tower, VisionTransformer):
        return _vit(tower, images)
    assert isinstance(tower, ModifiedResNet)
    return _resnet(tower, images)


def resample_positions(positions: Float[Tensor, "tokens dim"], side: tuple[int, int], grid: tuple[int, int]) -> Tensor:
    """Positional embeddings of a `side` grid, bicubically resampled to `grid`; [gh * gw, dim] row by row."""
    if side == grid:
        return positions
    table = positions.T.reshape(1, -1, *side).float()
    table = F.interpolate(table, size=grid, mode="bicubic", align_corners=False)
    return table.flatten(2)[0].T.to(positions.dtype)


def neighbour_bias(grid: tuple[int, int], std: float, device: torch.device) -> Float[Tensor, "patches patches"]:
    """exp(-d^2 / (2 std^2)) for the distance d, in patches, between every two cells of the grid (NACLIP eq. 5)."""
    rows, columns = (torch.arange(n, dtype=torch.float32, device=device) for n in grid)
    # The Gaussian is separable, so two small tables make the large one.
    by_row = torch.exp(-((rows[:, None] - rows) ** 2) / (2 * std**2))
    by_column = torch.exp(-((columns[:, None] - columns) ** 2) / (2 * std**2))
    return torch.einsum("ab,cd->acbd", by_row, by_column).reshape(len(rows) * len(columns), -1)


def self_similar_values(
    block: ResidualAttentionBlock, tokens: Float[Tensor, "views patches dim"], grid: tuple[int, int]
) -> Float[Tensor, "views patches dim"]:
    """Last-block output with attention softmax(k k^T / sqrt(d) + neighbour bias), no residual and no MLP (NACLIP).

    Departure: the class token takes no part, where the authors keep it as one more key.
    """
    attention = block.attn
    views, patches, dim = tokens.shape
    _, keys, values = F.linear(block.ln_1(tokens), attention.in_proj_weight, attention.in_proj_bias).chunk(3, dim=-1)
    keys, values = (x.view(views, patches, attention.num_heads, -1).transpose(1, 2) for x in (keys, values))
    bias = neighbour_bias(grid, NEIGHBOUR_STD, tokens.device).to(keys.dtype)
    mixed = F.scaled_dot_product_attention(keys, keys, values, attn_mask=bias)
    return block.ls_1(attention.out_proj(mixed.transpose(1, 2).reshape(views, patches, dim)))


def _is_plain(tower: VisionTransformer) -> bool:
    """CoCa's attention pools and the ablation blocks of open_clip have no value path of this form."""
    return tower.attn_pool is None and isinstance(tower.transformer.resblocks[-1], ResidualAttentionBlock)


def _vit(tower: VisionTransformer, images: Float[Tensor, "views 3 h w"]) -> Float[Tensor, "views dim gh gw"]:
    cells = tower.conv1(images)
    grid = (cells.shape[2], cells.shape[3])
    native = (int(tower.grid_size[0]), int(tower.grid_size[1]))
    patches = resample_positions(tower.positional_embedding[1:], native, grid)
    tokens = cells.flatten(2).transpose(1, 2) + patches
    class_token = (tower.class_embedding + tower.positional_embedding[0]).expand(len(images), 1, -1)
    tokens = tower.ln_pre(torch.cat([class_token.to(tokens.dtype), tokens], dim=1))
    *blocks, last = tower.transformer.resblocks
    assert isinstance(last, ResidualAttentionBlock)
    batch_first = getattr(tower.transformer, "batch_first", False)  # Older open_clip keeps tokens in front.
    tokens = tokens if batch_first else tokens.transpose(0, 1)
    for block in blocks:
        tokens = block(tokens)
    tokens = tokens if batch_first else tokens.transpose(0, 1)
    dense = self_similar_values(last, tokens[:, 1:], grid)
    dense = tower.ln_post(dense) @ tower.proj
    return dense.transpose(1, 2).unflatten(2, grid)


def _resnet(tower: ModifiedResNet, images: Float[Tensor, "views 3 h w"]) -> Float[Tensor, "views dim gh gw"]:
    """MaskCLIP: the attention pool's value and output projections as 1x1 convolutions, without its positions."""
    x = tower.stem(images)
    x = tower.layer4(tower.layer3(tower.layer2(tower.layer1(x))))
    pool = tower.attnpool
    dense = pool.c_proj(pool.v_proj(x.flatten(2).transpose(1, 2)))
    return dense.transpose(1, 2).unflatten(2, (x.shape[2], x.shape[3]))
