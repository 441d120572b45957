import json
from pathlib import Path

import numpy as np
import pytest
import torch

from ovs3d.errors import UserError
from ovs3d.teachers.files import open_features, open_vocabulary

META = {"teacher": "other", "space": "some-space", "dim": 4, "levels": ["a", "b"], "normalised": True}
IMAGES = [Path("photos/one.jpg"), Path("photos/two.png")]


@pytest.fixture
def folder(tmp_path):
    generator = np.random.default_rng(0)
    for stem in ("one", "two", "unused"):
        features = generator.standard_normal((2, 3, 5, 4))
        features /= np.linalg.norm(features, axis=-1, keepdims=True)
        np.save(tmp_path / f"{stem}.npy", features.astype(np.float16))
    (tmp_path / "notes.txt").write_text("ignored")
    write_meta(tmp_path)
    return tmp_path


def write_meta(folder, **changes):
    (folder / "meta.json").write_text(json.dumps({**META, "extra": 1, **changes}))


def write_vocabulary(folder, space="some-space", dim=4):
    np.savez(folder / "vocabulary.npz", words=np.array(["cup", "jar"]), embeddings=np.eye(2, dim), space=space)


def test_views_are_matched_by_stem(folder):
    store = open_features(folder, IMAGES[::-1])
    assert store.meta.levels == ("a", "b") and store.meta.space == "some-space"
    np.testing.assert_array_equal(store.view(0), np.load(folder / "two.npy"))
    features, valid = store.lookup(torch.tensor([1]), torch.tensor([[0.1, 0.5]]))
    np.testing.assert_allclose(features[0].numpy(), np.load(folder / "one.npy")[:, 1, 0], atol=1e-3)
    assert valid.all()


def test_a_missing_view_is_named(folder):
    with pytest.raises(UserError, match=r"three\.jpg"):
        open_features(folder, [*IMAGES, Path("three.jpg")])


def test_equal_stems_are_refused(folder):
    with pytest.raises(UserError, match="one"):
        open_features(folder, [IMAGES[0], Path("b/one.png")])


@pytest.mark.parametrize("shape", [(1, 3, 5, 4), (2, 3, 5, 3), (3, 5, 4)])
def test_a_wrong_shape_is_named(folder, shape):
    np.save(folder / "two.npy", np.zeros(shape, np.float16))
    with pytest.raises(UserError, match=r"two\.npy"):
        open_features(folder, IMAGES)


def test_a_wrong_type_is_named(folder):
    np.save(folder / "two.npy", np.zeros((2, 3, 5, 4), np.float32))
    with pytest.raises(UserError, match=r"two\.npy"):
        open_features(folder, IMAGES)


@pytest.mark.parametrize(
    "change",
    [
        *({"dim": value} for value in ("4", 0, True)),
        *({"levels": value} for value in ([], "ab", ["a", "a"])),
        {"space": ""},
        {"normalised": 1},
        {"teacher": None},
    ],
)
def test_a_wrong_meta_names_the_key(folder, change):
    write_meta(folder, **change)
    with pytest.raises(UserError, match=f"meta.json.*'{next(iter(change))}'"):
        open_features(folder, IMAGES)


@pytest.mark.parametrize("text", ["{", "[1]", None])
def test_an_unreadable_meta_is_named(folder, text):
    (folder / "meta.json").unlink()
    if text:
        (folder / "meta.json").write_text(text)
    with pytest.raises(UserError, match=r"meta\.json"):
        open_features(folder, IMAGES)


def test_vocabulary_is_optional_and_of_the_features_space(folder):
    assert open_vocabulary(folder) is None
    write_vocabulary(folder)
    vocabulary = open_vocabulary(folder)
    assert vocabulary is not None and vocabulary.words == ("cup", "jar")
    write_vocabulary(folder, space="other-space")
    with pytest.raises(UserError, match="other-space"):
        open_vocabulary(folder)
    write_vocabulary(folder, dim=5)
    with pytest.raises(UserError, match="5 numbers"):
        open_vocabulary(folder)
