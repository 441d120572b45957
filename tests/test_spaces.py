"""Names of encoders, vocabularies and spaces: what is accepted, and the sentence for what is not."""

import numpy as np
import pytest
import torch

from ovs3d.errors import UserError
from ovs3d.spaces import Vocabulary, check_same_space, load_encoder, load_patch_encoder


def write_vocabulary(path, words=("red ball", "blue box"), embeddings=((3.0, 4.0), (0.0, 2.0)), space="toy"):
    np.savez(path, words=np.array(words), embeddings=np.array(embeddings, np.float16), space=np.array(space))
    return path


def test_vocabulary_rows_are_unit_length_and_in_the_order_asked(tmp_path):
    vocabulary = Vocabulary(write_vocabulary(tmp_path / "vocabulary.npz"))
    rows = vocabulary.encode_text(["blue box", "Red  Ball", "blue box"])
    assert torch.allclose(rows, torch.tensor([[0.0, 1.0], [0.6, 0.8], [0.0, 1.0]]), atol=1e-6)
    assert (vocabulary.space, vocabulary.dim, rows.dtype) == ("toy", 2, torch.float32)


def test_vocabulary_lists_nearest_spellings(tmp_path):
    vocabulary = Vocabulary(write_vocabulary(tmp_path / "vocabulary.npz"))
    with pytest.raises(UserError, match=r'"red bal".*such as red ball'):
        vocabulary.encode_text(["red bal"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"embeddings": ((1.0, 0.0),)}, "shapes"),
        ({"embeddings": ((1.0, 0.0), (0.0, 0.0))}, "blue box"),
        ({"embeddings": ((np.nan, 0.0), (0.0, 1.0))}, "red ball"),
        ({"words": (1, 2)}, "strings"),
    ],
)
def test_vocabulary_refuses_files_that_do_not_fit(tmp_path, change, message):
    path = write_vocabulary(tmp_path / "vocabulary.npz", **change)
    with pytest.raises(UserError, match=message) as caught:
        Vocabulary(path)
    assert str(path) in str(caught.value)


def test_damaged_vocabulary_is_named(tmp_path):
    path = write_vocabulary(tmp_path / "vocabulary.npz")
    with pytest.raises(UserError, match=r"vocabulary\.npz is not a vocabulary"):
        Vocabulary(cut_short(path))
    np.savez_compressed(path, words=np.array(["x"] * 999), embeddings=np.ones((999, 2)), space=np.array("toy"))
    content = bytearray(path.read_bytes())
    content[60:90] = bytes(30)
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"vocabulary\.npz is not a vocabulary"):
        Vocabulary(path)


def cut_short(path):
    path.write_bytes(path.read_bytes()[:-30])
    return path


def test_vocabulary_never_unpickles(tmp_path):
    path = tmp_path / "vocabulary.npz"
    words = np.array(["red ball", {"not": "a word"}], dtype=object)
    np.savez(path, words=words, embeddings=np.ones((2, 2)), space=np.array("toy"))
    with pytest.raises(UserError, match="vocabulary"):
        Vocabulary(path)


def test_missing_vocabulary_is_a_user_error(tmp_path):
    with pytest.raises(UserError, match=r"none\.npz"):
        Vocabulary(tmp_path / "none.npz")


def test_two_spaces_are_named_when_they_differ():
    check_same_space("a-v1", "a-v1")
    with pytest.raises(UserError, match=r"a-v1.*b-v1"):
        check_same_space("a-v1", "b-v1")


def test_weights_that_cannot_be_had_are_one_sentence(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("ovs3d.encoders.hub.try_to_load_from_cache", lambda *_: None)
    with pytest.raises(UserError, match=r"ViT-B-16:laion2b_s34b_b88k.*ViT-B-16:/path.*HF_HOME.*tiny-clip"):
        load_encoder("ViT-B-16:laion2b_s34b_b88k")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(UserError, match=r"vit_small_patch8_224.*:/path.*tiny-dino"):
        load_patch_encoder("vit_small_patch8_224.dino")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ViT-B-61:openai", "ViT-B-16"),
        ("ViT-B-16", "MODEL:PRETRAINED"),
        ("ViT-B-16:no_such_tag", "laion2b_s34b_b88k"),
        ("ViT-B-16:/no/such/file.pt", "/no/such/file.pt"),
    ],
)
def test_wrong_encoder_names_say_what_is_right(name, message):
    with pytest.raises(UserError, match=message):
        load_encoder(name)


@pytest.mark.parametrize(
    ("name", "message"),
    [("vit_smal_patch8", "tiny-dino"), ("vit_small_patch8_224_dino:/no/file.pth", "/no/file.pth")],
)
def test_wrong_patch_encoder_names_say_what_is_right(name, message):
    with pytest.raises(UserError, match=message):
        load_patch_encoder(name)
