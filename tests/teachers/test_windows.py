import math

import pytest
import torch

from ovs3d.teachers.windows import average_windows, sliding_windows, storage_grid, window_sides, window_stride


@pytest.mark.parametrize(
    ("height", "width", "sides", "counts"),
    [
        (240, 320, (48, 34, 24), (17 * 24, 27 * 37, 37 * 51)),
        (1080, 1440, (216, 154, 108), (17 * 24, 26 * 35, 37 * 51)),
    ],
)
def test_windows_are_those_of_the_authors(height, width, sides, counts):
    assert window_sides(height, width) == sides
    for side, count in zip(sides, counts, strict=True):
        boxes = sliding_windows(height, width, side)
        assert len(boxes) == count
        # The authors' loop: one more window where the stride does not divide the rest.
        starts = [
            (row * (side // 4), column * (side // 4))
            for row in range((height - side) // (side // 4) + 1 + int((height - side) % (side // 4) > 0))
            for column in range((width - side) // (side // 4) + 1 + int((width - side) % (side // 4) > 0))
        ]
        inner = torch.tensor([(y, x, min(y + side, height), min(x + side, width)) for y, x in starts])
        assert boxes.shape == inner.shape
        outwards = (boxes - inner) * torch.tensor([-1, -1, 1, 1])
        assert outwards.min() == 0 and outwards.max() == side // 4
        assert boxes.min() == 0
        assert boxes[:, 2].max() == height and boxes[:, 3].max() == width


@pytest.mark.parametrize(("height", "width"), [(240, 320), (97, 53), (60, 200), (11, 13), (3, 4)])
def test_windows_cover_every_pixel(height, width):
    for side in window_sides(height, width):
        seen = torch.zeros(height, width)
        for top, left, bottom, right in sliding_windows(height, width, side).tolist():
            assert bottom > top and right > left
            seen[top:bottom, left:right] += 1
        assert seen.min() > 0


def test_jitter_is_seeded_and_uses_all_four_edges():
    boxes = sliding_windows(240, 320, 48, seed=3)
    assert torch.equal(boxes, sliding_windows(240, 320, 48, seed=3))
    other = sliding_windows(240, 320, 48, seed=4)
    assert ((boxes != other).float().mean(0) > 0.5).all()


def test_stride_is_never_zero():
    assert window_stride(3) == 1
    assert window_stride(48, stride_divisor=2) == 24
    assert len(sliding_windows(10, 10, 2)) == 81


def test_storage_grid_has_the_promised_sizes():
    spacing = window_stride(window_sides(240, 320)[-1])
    assert storage_grid(240, 320, spacing) == (27, 36)
    assert storage_grid(1080, 1440, window_stride(window_sides(1080, 1440)[-1])) == (27, 36)
    assert 3 * 27 * 36 * 512 * 2 <= 3e6  # Bytes per view of ViT-B/16 features.
    assert storage_grid(240, 320, 8, max_cells=1200) == (30, 40)
    assert storage_grid(30, 40, 5) == (6, 8)


@pytest.mark.parametrize(("height", "width"), [(1, 5000), (5000, 1), (3000, 4000), (70, 2000), (2, 3)])
def test_storage_grid_stays_within_its_limit_and_keeps_the_aspect(height, width):
    rows, columns = storage_grid(height, width, 1)
    assert 1 <= rows * columns <= 1000
    if min(rows, columns) > 4:
        assert math.isclose(columns / rows, width / height, rel_tol=0.2)


def test_average_equals_a_loop_over_pixels():
    height, width, grid = 37, 52, (7, 9)
    boxes = sliding_windows(height, width, 9)
    embeddings = torch.randn(len(boxes), 5, generator=torch.Generator().manual_seed(0)) * 3
    total, count = torch.zeros(height, width, 5), torch.zeros(height, width, 1)
    for (top, left, bottom, right), embedding in zip(boxes.tolist(), embeddings, strict=True):
        total[top:bottom, left:right] += embedding
        count[top:bottom, left:right] += 1
    pixels = total / count
    expected = torch.stack(
        [
            pixels[int((row + 0.5) * height / 7), int((column + 0.5) * width / 9)]
            for row in range(7)
            for column in range(9)
        ]
    ).view(7, 9, 5)
    torch.testing.assert_close(average_windows(boxes, embeddings, (height, width), grid), expected)


def test_a_cell_without_windows_is_zero():
    boxes = torch.tensor([[0, 0, 4, 4]])
    mean = average_windows(boxes, torch.ones(1, 3), (8, 8), (2, 2))
    assert torch.equal(mean[0, 0], torch.ones(3))
    assert mean.sum() == 3
