"""The dense path against a slow computation, token by token."""

import math

import pytest
import torch
from open_clip.modified_resnet import ModifiedResNet
from open_clip.transformer import VisionTransformer
from torch import nn

from ovs3d.encoders.dense import NEIGHBOUR_STD, dense_embeddings, dense_stride, neighbour_bias, resample_positions


def small_vit(image_size=32, patch_size=8, width=32, layers=3, heads=2, output_dim=12):
    torch.manual_seed(1)
    return VisionTransformer(image_size, patch_size, width, layers, heads, 2.0, output_dim=output_dim).eval()


def slow_last_block(block, tokens, grid):
    """Attention of the last block written as loops over heads and patches; tokens [patches, dim] without the class."""
    attention, dim = block.attn, tokens.shape[1]
    size = dim // attention.num_heads
    projected = block.ln_1(tokens) @ attention.in_proj_weight.T + attention.in_proj_bias
    keys, values = projected[:, dim : 2 * dim], projected[:, 2 * dim :]
    mixed = torch.zeros_like(tokens)
    for head in range(attention.num_heads):
        part = slice(head * size, (head + 1) * size)
        for i in range(len(tokens)):
            scores = []
            for j in range(len(tokens)):
                squared = (i // grid[1] - j // grid[1]) ** 2 + (i % grid[1] - j % grid[1]) ** 2
                near = math.exp(-squared / (2 * NEIGHBOUR_STD**2))
                scores.append(keys[i, part] @ keys[j, part] / math.sqrt(size) + near)
            mixed[i, part] = torch.softmax(torch.stack(scores), 0) @ values[:, part]
    return mixed @ attention.out_proj.weight.T + attention.out_proj.bias


@torch.no_grad()
def check_vit(tower, images):
    """Every block but the last through the tower itself, the last by the slow loop."""
    taken = []
    hook = tower.transformer.resblocks[-1].register_forward_pre_hook(lambda _, inputs: taken.append(inputs[0]))
    tower(images)
    hook.remove()
    side = tower.grid_size
    dense = dense_embeddings(tower, images)
    for view, tokens in enumerate(taken[0]):
        expected = tower.ln_post(slow_last_block(tower.transformer.resblocks[-1], tokens[1:], side)) @ tower.proj
        assert torch.allclose(dense[view].flatten(1).T, expected, atol=1e-4)


def test_vit_equals_the_slow_computation():
    check_vit(small_vit(), torch.randn(2, 3, 32, 32))


@pytest.mark.slow
def test_real_size_vit_equals_the_slow_computation():
    check_vit(small_vit(224, 16, 768, 12, 12, 512), torch.randn(1, 3, 224, 224))


@torch.no_grad()
def test_any_grid_is_taken_and_positions_stay_in_place():
    tower = small_vit()
    assert dense_embeddings(tower, torch.randn(1, 3, 24, 48)).shape == (1, 12, 3, 6)
    # With one constant positional embedding the grid size cannot matter to a constant image.
    tower.positional_embedding.data[:] = tower.positional_embedding[0]
    dense = dense_embeddings(tower, torch.full((1, 3, 24, 48), 0.3))
    assert torch.allclose(dense, dense[:, :, :1, :1].expand_as(dense), atol=1e-5)


@torch.no_grad()
def test_resnet_equals_values_then_output_projection():
    torch.manual_seed(2)
    tower = ModifiedResNet([1, 1, 1, 1], output_dim=12, heads=4, image_size=64, width=8).eval()
    images = torch.randn(2, 3, 64, 96)
    dense = dense_embeddings(tower, images)
    assert dense.shape == (2, 12, 2, 3)
    maps = tower.layer4(tower.layer3(tower.layer2(tower.layer1(tower.stem(images)))))
    pool = tower.attnpool
    value = pool.v_proj.weight @ maps[1, :, 1, 2] + pool.v_proj.bias
    expected = pool.c_proj.weight @ value + pool.c_proj.bias
    assert torch.allclose(dense[1, :, 1, 2], expected, atol=1e-5)


def test_other_towers_have_no_dense_path():
    assert dense_stride(nn.Linear(1, 1)) is None
    assert (dense_stride(small_vit()), dense_stride(small_vit(patch_size=16))) == (8, 16)
    with pytest.raises(ValueError, match="Linear"):
        dense_embeddings(nn.Linear(1, 1), torch.randn(1, 3, 32, 32))


def test_sides_that_are_no_multiples_raise():
    with pytest.raises(ValueError, match="multiples of 8"):
        dense_embeddings(small_vit(), torch.randn(1, 3, 30, 32))


def test_neighbour_bias_is_the_gaussian_of_the_distance():
    bias = neighbour_bias((3, 4), 2.0, torch.device("cpu"))
    # Cells 1 = (0, 1) and 10 = (2, 2): squared distance 4 + 1.
    assert bias[1, 10] == pytest.approx(math.exp(-5 / 8), rel=1e-6)
    assert torch.equal(bias, bias.T)
    assert torch.allclose(bias.diagonal(), torch.ones(12))


def test_resampled_positions_keep_a_linear_ramp():
    ramp = torch.arange(4.0).repeat_interleave(4)[:, None]
    finer = resample_positions(ramp, (4, 4), (8, 4)).view(8, 4)
    # Rows lie at (i + .5) / 2 - .5; torch's cubic kernel (a = -.75) bends a ramp by less than .05.
    assert torch.allclose(finer[3:5, 0], torch.tensor([1.25, 1.75]), atol=0.05)
    assert resample_positions(ramp, (4, 4), (4, 4)) is ramp
