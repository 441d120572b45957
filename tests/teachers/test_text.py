"""Words as vectors: prompts, templates, and a class for everything else."""

from pathlib import Path

import numpy as np
import pytest
import torch

from ovs3d.data.classes import parse_classes
from ovs3d.data.datamanager import OVS3DDataManagerConfig
from ovs3d.data.labels import load_label_map
from ovs3d.errors import UserError
from ovs3d.evaluation.protocols import pixel_features
from ovs3d.relevancy import relevancy, unit
from ovs3d.spaces import load_encoder
from ovs3d.teachers.bank import open_teachers
from ovs3d.teachers.text import PHOTO_TEMPLATES, embed_classes, embed_prompts, resolve_templates, text_encoder
from tests.end_to_end.box_scene import write_features, write_scene

ROOM = Path("data/room")


def test_a_class_is_the_mean_of_its_prompts() -> None:
    encoder = load_encoder("tiny-clip")
    ball, box, wall = encoder.encode_text(["red ball", "blue box", "wall"])
    found = embed_prompts(encoder, [("red ball", "blue box"), ("wall",)])
    torch.testing.assert_close(found, torch.stack([unit((ball + box)[None] / 2)[0], wall]), atol=1e-6, rtol=0.0)


def test_photo_stands_for_sentences_that_hold_the_word() -> None:
    assert resolve_templates(("photo", "{} indoors")) == (*PHOTO_TEMPLATES, "{} indoors")
    assert resolve_templates(()) == () and resolve_templates(PHOTO_TEMPLATES) == PHOTO_TEMPLATES


def test_a_template_without_a_place_for_the_word_is_named() -> None:
    with pytest.raises(UserError, match=r'"a photo of" has no \{\}'):
        resolve_templates(("{}", "a photo of"))


def test_templates_reach_the_encoder_of_the_run() -> None:
    settings = OVS3DDataManagerConfig(encoder="tiny-clip", templates=("a photo of {}.",))
    bare = load_encoder("tiny-clip").encode_text(["a photo of red ball."])
    torch.testing.assert_close(text_encoder(settings).encode_text(["red ball"]), bare)


def test_a_vocabulary_refuses_templates(tmp_path: Path) -> None:
    features = write_features(tmp_path / "features", write_scene(tmp_path / "scene", views=2))
    settings = OVS3DDataManagerConfig(teachers=("files",), features=features)
    assert text_encoder(settings).encode_text(["door"]).shape == (1, 6)
    settings.templates = PHOTO_TEMPLATES
    with pytest.raises(UserError, match=r"vocabulary.npz holds words and no sentences.*--templates"):
        text_encoder(settings)


def test_features_that_are_gone_are_named_and_no_other_encoder_is_taken(tmp_path: Path) -> None:
    settings = OVS3DDataManagerConfig(teachers=("files",), features=tmp_path / "gone")
    with pytest.raises(UserError, match=rf"{tmp_path / 'gone'}.* put it back there"):
        text_encoder(settings)


def test_a_class_for_everything_else_takes_what_is_not_named() -> None:
    manager = OVS3DDataManagerConfig(encoder="tiny-clip", teachers=("clip-dense",))
    names = tuple((ROOM / "classes.txt").read_text().splitlines())
    objects, surfaces = names[:-5], names[-5:]
    entries = [*objects, f"everything else: {' | '.join(surfaces)}"]
    classes = parse_classes([("", entry) for entry in entries], "", 2)
    store = open_teachers(manager, [ROOM / "images" / "frame_000.jpg"], "cpu").text_store
    text = embed_classes(manager, tuple(prompts for _, prompts in classes), store.meta.space)
    features, _ = pixel_features(store, 0, (60, 80))
    best = relevancy(features, text).mean(dim=1).argmax(dim=-1).numpy()
    labels = np.asarray(load_label_map(ROOM / "labels" / "frame_000.png", names, names, (60, 80))).reshape(-1)
    unnamed, named = labels >= len(objects), (labels >= 0) & (labels < len(objects))
    assert unnamed.mean() > 0.3 and named.mean() > 0.1
    assert (best[unnamed] == len(objects)).mean() > 0.8 and (best[named] == len(objects)).mean() < 0.2
