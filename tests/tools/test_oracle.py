"""Oracle features: unit vectors of the true majority class, on windows or on tokens."""

import numpy as np
import pytest
import torch

from ovs3d.spaces import load_encoder
from tools.results.oracle import TOKENS, Unit, level


def test_a_window_has_as_many_tokens_as_the_training_image_of_the_bundled_encoder() -> None:
    encoder = load_encoder("tiny-clip")
    assert encoder.patch_stride is not None
    assert encoder.image_size == TOKENS * encoder.patch_stride


@pytest.mark.parametrize("unit", ["windows", "tokens"])
def test_one_class_everywhere_gives_its_unit_vector_everywhere(unit: Unit) -> None:
    features = level(np.full((48, 64), 2), 12, (6, 8), 3, unit)
    torch.testing.assert_close(features, torch.eye(3)[2].expand(6, 8, 3))


def test_tokens_follow_a_border_that_lies_on_the_grid() -> None:
    labels = np.zeros((48, 64), dtype=np.int64)
    labels[:16], labels[16:, 32:] = 1, 2
    features = level(labels, 12, (6, 8), 3, "tokens")  # Tokens of 2 pixels, cells of 8.
    torch.testing.assert_close(features, torch.eye(3)[torch.from_numpy(labels[4::8, 4::8])])


def test_a_token_without_a_label_says_nothing() -> None:
    labels = np.zeros((48, 64), dtype=np.int64)
    labels[:, 32:] = -1
    features = level(labels, 12, (6, 8), 3, "tokens")
    assert not features[:, 4:].any() and torch.equal(features[:, :4], torch.eye(3)[0].expand(6, 4, 3))
