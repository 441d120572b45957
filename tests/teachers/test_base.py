import pytest
import torch

import ovs3d.spaces
from ovs3d.errors import UserError
from ovs3d.teachers.base import FeatureMeta, Teacher, build_teacher, resize, unit_or_zero
from ovs3d.teachers.clip_crops import ClipCrops
from ovs3d.teachers.clip_dense import ClipDense
from ovs3d.teachers.dino import Dino
from tests.teachers.fakes import FakeClip, FakeDino, picture


def test_unit_or_zero_marks_what_has_no_direction():
    vectors = torch.tensor([[3.0, 4.0], [0.0, 0.0], [float("nan"), 1.0], [float("inf"), 1.0]])
    expected = torch.tensor([[0.6, 0.8], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
    torch.testing.assert_close(unit_or_zero(vectors), expected)


def test_resize_keeps_the_range_and_the_identity():
    image = (picture(20, 30) > 0.5).float()[None]
    assert resize(image, 20, 30) is image
    larger = resize(image, 37, 41)
    assert larger.shape == (1, 3, 37, 41) and larger.min() >= 0 and larger.max() <= 1


@pytest.mark.parametrize(
    ("name", "space"), [("clip-crops", "fake-clip"), ("clip-dense", "fake-clip"), ("dino", "fake-dino")]
)
def test_build_teacher_loads_the_encoder_it_needs(monkeypatch, name, space):
    monkeypatch.setattr(ovs3d.spaces, "load_encoder", lambda encoder, device: FakeClip())
    monkeypatch.setattr(ovs3d.spaces, "load_patch_encoder", lambda encoder, device: FakeDino())
    teacher = build_teacher(name, "a", "b", "cpu", max_cells=100)
    assert isinstance(teacher, Teacher)
    assert isinstance(teacher.meta, FeatureMeta)
    assert (teacher.meta.teacher, teacher.meta.space) == (name, space)
    assert teacher.options["max_cells"] == 100


@pytest.mark.parametrize(("teacher", "fake"), [(ClipCrops, FakeClip), (ClipDense, FakeClip), (Dino, FakeDino)])
def test_half_precision_enters_the_key_and_float32_does_not(teacher, fake):
    encoder = fake()
    options = teacher(encoder).options
    assert "precision" not in options
    encoder.precision = torch.bfloat16
    assert teacher(encoder).options == {**options, "precision": "bfloat16"}


def test_an_unknown_teacher_is_named():
    with pytest.raises(UserError, match=r"clip-cropz.*clip-crops"):
        build_teacher("clip-cropz", "a", "b")
