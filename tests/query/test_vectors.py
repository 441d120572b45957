"""What is asked becomes a vector and its negatives."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ovs3d.errors import UserError
from ovs3d.query.ask import Query
from ovs3d.query.vectors import Prototypes, ask_vector, ask_words, embed_picture, windows_about_middle
from ovs3d.relevancy import unit
from tests.teachers.fakes import FakeClip

CLASSES = torch.eye(4)


class Axes:
    """Words in a space of four numbers: the letters of a word are its directions."""

    space, dim = "axes", 4

    def encode_text(self, words: Sequence[str]) -> torch.Tensor:
        return unit(torch.tensor([[float(word.count(letter)) for letter in "wxyz"] for word in words]))


def test_classes_but_the_nearest_are_the_negatives() -> None:
    question = ask_words("xxy", Axes(), CLASSES, None)
    torch.testing.assert_close(question.vector, torch.tensor([0.0, 2.0, 1.0, 0.0]) / 5**0.5)
    assert torch.equal(question.others, CLASSES) and question.negatives.tolist() == [True, False, True, True]
    assert question.name == "xxy" and question.calibration is None


def test_negatives_may_be_named() -> None:
    question = ask_words("x", Axes(), CLASSES, ["xy", "z"])
    assert question.negatives.tolist() == [False] * len(CLASSES) + [True, True] and question.strict
    named = unit(torch.tensor([[0.0, 1.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]]))
    torch.testing.assert_close(question.others, torch.cat([CLASSES, named]))
    assert not ask_words("x", Axes(), CLASSES, None).strict


@pytest.mark.parametrize(("classes", "negatives"), [(CLASSES, []), (CLASSES[:1], None)])
def test_without_any_negative_the_mend_is_named(classes: torch.Tensor, negatives: list[str] | None) -> None:
    with pytest.raises(UserError, match="name negatives"):
        ask_words("x", Axes(), classes, negatives)


def test_examples_stand_against_the_classes_that_the_scene_shows() -> None:
    prototypes = Prototypes(CLASSES, torch.tensor([True, True, False, True]))
    question = ask_vector("this", torch.tensor([0.0, 3.0, 1.0, 0.0]), prototypes)
    assert torch.equal(
        question.others[question.negatives], CLASSES[[0, 3]]
    ) and question.vector.norm() == pytest.approx(1.0)
    with pytest.raises(UserError, match="at least two classes"):
        ask_vector("this", CLASSES[1], Prototypes(CLASSES, torch.tensor([False, True, False, False])))


def test_picture_is_seen_by_the_image_encoder(tmp_path: Path) -> None:
    path = tmp_path / "mug.png"
    pixels = np.random.default_rng(0).integers(0, 255, (20, 30, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    encoder = FakeClip()
    image = torch.from_numpy(pixels / np.float32(255.0)).permute(2, 0, 1)
    whole = unit(encoder.encode_image(image[None, :, :, 5:25]))[0]
    means = [unit(encoder.encode_image(windows_about_middle(image, parts))).mean(dim=0) for parts in (2, 3)]
    torch.testing.assert_close(embed_picture(encoder, path), unit(torch.stack([whole, *means]).mean(dim=0)))
    with pytest.raises(UserError, match="has no image encoder"):
        embed_picture(Axes(), path)
    path.write_text("no picture")
    with pytest.raises(UserError, match=r"mug\.png cannot be read as an image"):
        embed_picture(encoder, path)


@pytest.mark.parametrize("size", [(20, 30), (31, 19), (1, 1), (2, 5)])
@pytest.mark.parametrize("parts", [1, 2, 3])
def test_windows_lie_about_the_middle(size: tuple[int, int], parts: int) -> None:
    height, width = size
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    image = torch.stack([rows, columns, rows]).float()
    windows = windows_about_middle(image, parts)
    assert windows.shape == (1 if parts == 1 else 9, 3, *[max(1, min(size) // parts)] * 2)
    middles = windows.mean(dim=(0, 2, 3))
    assert abs(middles[0] - (height - 1) / 2) <= 1.0 and abs(middles[1] - (width - 1) / 2) <= 1.0


def test_transparent_and_turned_pictures_are_seen_as_they_are_meant(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (20, 20, 4), np.uint8)
    pixels[..., 3] = 255
    pixels[:, :10, 3] = 0
    Image.fromarray(pixels).save(tmp_path / "cut.png")
    shown = np.where(pixels[..., 3:] == 0, 255, pixels[..., :3])
    exif = Image.Exif()
    exif[0x0112] = 6  # Held upright: to be turned by 90 degrees clockwise.
    Image.fromarray(np.rot90(shown).astype(np.uint8)).save(tmp_path / "turned.png", exif=exif)
    Image.fromarray(shown.astype(np.uint8)).save(tmp_path / "plain.png")
    cut, turned, plain = (embed_picture(FakeClip(), tmp_path / f"{name}.png") for name in ("cut", "turned", "plain"))
    torch.testing.assert_close(cut, plain)
    torch.testing.assert_close(turned, plain)


def test_nearest_prototype_is_one_that_the_scene_shows() -> None:
    prototypes = Prototypes(CLASSES, torch.tensor([True, True, False, True]))
    assert torch.equal(prototypes.nearest(torch.tensor([0.1, 0.3, 5.0, 0.2])), CLASSES[1])


def test_vector_of_another_size_is_refused() -> None:
    with pytest.raises(UserError, match="has 3 numbers"):
        ask_vector("this", torch.ones(3), Prototypes(CLASSES, torch.ones(4, dtype=torch.bool)))


def test_exactly_one_thing_is_asked() -> None:
    with pytest.raises(UserError, match="given are none of them"):
        Query()
    with pytest.raises(UserError, match="given are text, click"):
        Query("a mug", click=("view", 1, 2))
    with pytest.raises(UserError, match="not against one by point"):
        Query(point=(0.0, 0.0, 0.0), negatives=("wall",))
    with pytest.raises(UserError, match="are a list"):
        Query("a mug", negatives="wall")
    for text, negatives in (("", None), (" ", None), ("a mug", ("wall", ""))):
        with pytest.raises(UserError, match="empty word"):
            Query(text, negatives=negatives)
