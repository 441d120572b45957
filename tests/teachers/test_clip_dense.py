from itertools import pairwise

import pytest
import torch

from ovs3d.teachers.clip_dense import ClipDense, overlaps, tile_axis
from tests.teachers.fakes import FakeClip, picture


@pytest.mark.parametrize(
    ("count", "tile", "overlap", "cells"), [(5, 8, 2, 3), (40, 10, 3, 7), (41, 10, 4, 60), (9, 2, 1, 4), (1, 4, 2, 3)]
)
def test_tiles_average_like_the_whole_axis(count, tile, overlap, cells):
    starts, weights = tile_axis(count, tile, overlap, cells)
    assert weights.shape[2] <= tile
    assert starts[0] == 0 and starts[-1] + weights.shape[2] == count
    gaps = [later - earlier for earlier, later in pairwise(starts)]
    assert all(weights.shape[2] - gap >= overlap for gap in gaps)
    torch.testing.assert_close(weights.sum((0, 2)), torch.ones(cells))
    tokens = torch.randn(count, generator=torch.Generator().manual_seed(0))
    tiled = sum(weights[k] @ tokens[start : start + weights.shape[2]] for k, start in enumerate(starts))
    # Brute force: both axes sampled finely; a sample belongs to one cell and one token.
    fine = count * cells
    expected = tokens.repeat_interleave(fine // count).view(cells, fine // cells).mean(1)
    torch.testing.assert_close(tiled, expected, atol=1e-5, rtol=1e-5)


def test_overlaps_share_the_unit_interval():
    shared = overlaps(7, 3)
    torch.testing.assert_close(shared.sum(1), torch.full((3,), 1 / 3))
    torch.testing.assert_close(shared.sum(0), torch.full((7,), 1 / 7))


def test_features_are_unit_length_and_do_not_depend_on_tiles_or_batches():
    image = picture(120, 160)
    features = ClipDense(FakeClip()).extract(image)
    assert features.shape == (3, 27, 36, 8)
    torch.testing.assert_close(features.norm(dim=-1), torch.ones(3, 27, 36))
    # The fake's tokens have no surroundings, so that any tiling must give the same.
    whole = ClipDense(FakeClip(), tile_windows=1e6, max_tile_tokens=1000, batch_tokens=1).extract(image)
    torch.testing.assert_close(features, whole, atol=1e-4, rtol=0)


def test_a_window_becomes_the_size_of_the_model_and_tiles_stay_small():
    encoder = FakeClip()
    ClipDense(encoder, divisors=(5,), tile_windows=1000.0, max_tile_tokens=1000).extract(picture(100, 150))
    # A window of 20 pixels becomes 16: the image becomes 80 x 120.
    assert encoder.seen == [(1, 3, 80, 120)]
    encoder = FakeClip()
    ClipDense(encoder, batch_tokens=250).extract(picture(100, 150))
    assert max(max(shape[2:]) for shape in encoder.seen) <= 2.5 * 16
    assert 1 < max(shape[0] for shape in encoder.seen)
    assert max(shape[0] * shape[2] * shape[3] // 16 for shape in encoder.seen) <= 250


def test_models_of_many_tokens_see_a_window_with_fewer():
    encoder = FakeClip(image_size=64)
    ClipDense(encoder, divisors=(5,)).extract(picture(100, 150))
    # A window of 20 pixels becomes 8 tokens of 4 pixels, not 16 of them: 40 x 60 tokens, in two tiles of 40 x 32.
    assert encoder.seen == [(2, 3, 160, 128)]


def test_features_lie_where_the_image_has_them():
    image = torch.zeros(3, 120, 160)
    image[0, :, :80], image[2, :, 80:] = 1, 1
    encoder = FakeClip()
    features = ClipDense(encoder).extract(image)
    red, blue = torch.nn.functional.normalize(encoder.from_patch, dim=-1)[[0, 2]]
    torch.testing.assert_close(features[:, :, :17], red.expand(3, 27, 17, 8), atol=1e-4, rtol=0)
    torch.testing.assert_close(features[:, :, 19:], blue.expand(3, 27, 17, 8), atol=1e-4, rtol=0)
