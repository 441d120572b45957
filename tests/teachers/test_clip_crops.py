import pytest
import torch
import torch.nn.functional as F

from ovs3d.teachers.clip_crops import ClipCrops, crop_squares, encode_windows
from ovs3d.teachers.memory import Batches
from ovs3d.teachers.windows import sliding_windows
from tests.teachers.fakes import FakeClip, picture


def test_features_are_unit_length_on_one_grid():
    encoder = FakeClip()
    features = ClipCrops(encoder).extract(picture(120, 160))
    assert features.shape == (3, 27, 36, 8)
    torch.testing.assert_close(features.norm(dim=-1), torch.ones(3, 27, 36))
    assert all(shape[1:] == (3, 16, 16) for shape in encoder.seen)


def test_batch_size_changes_nothing():
    image = picture(60, 80)
    small, large = (ClipCrops(FakeClip(), batch_size=size).extract(image) for size in (7, 500))
    torch.testing.assert_close(small, large, atol=1e-5, rtol=0)
    other = ClipCrops(FakeClip(), seed=1).extract(image)
    assert (small - other).abs().max() > 1e-3


def test_windows_are_resized_one_by_one_in_their_own_order():
    image, encoder = picture(60, 80), FakeClip()
    boxes = sliding_windows(60, 80, 12)
    found = encode_windows(encoder, image, boxes, Batches(13))
    for index, (top, left, bottom, right) in enumerate(boxes.tolist()):
        side = min(bottom - top, right - left)
        y, x = top + (bottom - top - side) // 2, left + (right - left - side) // 2
        crop = image[None, :, y : y + side, x : x + side]
        crop = F.interpolate(crop, (16, 16), mode="bicubic", antialias=True).clamp(0, 1)
        torch.testing.assert_close(found[index], encoder.encode_image(crop)[0], atol=1e-5, rtol=1e-5)


def test_a_square_of_the_models_size_is_cut_unchanged():
    image = picture(40, 40)
    crops = crop_squares(image, torch.tensor([[3, 5, 16], [0, 0, 20]]), 16)
    assert torch.equal(crops[0], image[:, 3:19, 5:21])
    assert crops.min() >= 0 and crops.max() <= 1


def test_scale_down_is_the_authors_eighth():
    encoder = FakeClip()
    features = ClipCrops(encoder, scale_down=8).extract(picture(240, 320))
    # 30 x 40 pixels: windows of 6, 4 and 3 pixels, one pixel apart.
    counts = [(25, 35), (27, 37), (28, 38)]
    assert sum(shape[0] for shape in encoder.seen) == sum(rows * columns for rows, columns in counts)
    assert features.shape == (3, 27, 36, 8)


@pytest.mark.parametrize("option", [{"seed": 1}, {"stride_divisor": 2}, {"scale_down": 8}, {"divisors": (5,)}])
def test_options_enter_the_key(option):
    assert ClipCrops(FakeClip(), **option).options != ClipCrops(FakeClip()).options


def test_batch_size_is_not_an_option_of_the_key():
    assert ClipCrops(FakeClip(), batch_size=3).options == ClipCrops(FakeClip()).options
