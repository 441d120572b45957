"""Batches that a GPU's memory does not hold, through encoders that run out of it above a size."""

import weakref

import pytest
import torch

from ovs3d.errors import UserError
from ovs3d.teachers.clip_crops import ClipCrops
from ovs3d.teachers.clip_dense import ClipDense
from ovs3d.teachers.dino import Dino
from ovs3d.teachers.memory import Batches
from tests.teachers.fakes import FakeClip, FakeDino, picture


class SmallMemoryClip(FakeClip):
    """Holds so many pictures at a time and no more."""

    def __init__(self, holds: int) -> None:
        super().__init__()
        self.holds, self.failures = holds, 0

    def encode_image(self, crops):
        self.check(crops)
        return super().encode_image(crops)

    def encode_dense(self, images):
        self.check(images)
        return super().encode_dense(images)

    def check(self, images):
        if len(images) > self.holds:
            self.failures += 1
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")


@pytest.mark.parametrize("teacher", [ClipCrops, ClipDense])
@pytest.mark.parametrize("holds", [1, 2, 5])
def test_features_are_the_same_with_little_memory(teacher, holds):
    image = picture(60, 160)
    encoder = SmallMemoryClip(holds)
    small = teacher(encoder)
    # All batches are small enough from the second image on.
    first, failures = small.extract(image), encoder.failures
    assert failures > 0
    torch.testing.assert_close(first, teacher(FakeClip()).extract(image), atol=1e-6, rtol=0)
    assert torch.equal(small.extract(image), first)
    assert encoder.failures == failures


def test_a_single_picture_too_large_is_a_users_error(monkeypatch):
    for teacher in (ClipCrops(SmallMemoryClip(0)), ClipDense(SmallMemoryClip(0))):
        with pytest.raises(UserError, match=r"one picture at a time.*smaller encoder.*--device cpu"):
            teacher.extract(picture(60, 80))

    def full(self, images):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(FakeDino, "encode_patches", full)
    with pytest.raises(UserError, match="smaller encoder"):
        Dino(FakeDino()).extract(picture(60, 80))


def test_items_come_once_and_in_order_with_costs():
    asked = []

    def encode(first, last):
        asked.append((first, last))
        if last - first > 2:
            raise torch.cuda.OutOfMemoryError
        return torch.arange(first, last)

    batches = Batches(50)
    found = [encoded for _, _, encoded in batches.encode(encode, 9, cost=10)]
    assert torch.cat(found).tolist() == list(range(9))
    assert asked == [(0, 5), (0, 2), (2, 4), (4, 6), (6, 8), (8, 9)]
    assert batches.limit == 20
    assert [last for _, last, _ in Batches(3).encode(lambda first, last: torch.zeros(1), 2, cost=100)] == [1, 2]


def test_the_failed_batch_is_gone_when_memory_is_freed(monkeypatch):
    held, alive = [], []

    def encode(first, last):
        batch = torch.zeros(last - first)
        held.append(weakref.ref(batch))
        if last - first > 1:
            raise torch.cuda.OutOfMemoryError
        return torch.zeros(1)

    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: alive.append(held[-1]() is not None))
    assert len(list(Batches(4).encode(encode, 4))) == 4
    assert alive == [False, False]


def test_other_errors_pass_through():
    def encode(first, last):
        raise RuntimeError("shapes")

    with pytest.raises(RuntimeError, match="shapes"):
        list(Batches(4).encode(encode, 4))
