"""The parts of the tiny encoders' trainers, and that an interrupted training continues."""

import json
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from open_clip.transformer import ResidualAttentionBlock

from tools.encoders.captions import attribute_captions, attributes, draw_caption, truth, wrong_caption
from tools.encoders.contrast import answer_loss, multi_positive_loss, train_with_plain_attention
from tools.encoders.corpus import Corpus, StoredScene, load_scene
from tools.encoders.distill import Crops, balanced_targets, cell_positions, retrieval, sample_at
from tools.encoders.measure import cell_labels
from tools.encoders.training import Average, export_weights, learning_rate
from tools.encoders.windows import SIDES, box_means, draw_dense_crops, draw_windows, filling_class
from tools.scenes import ClassInfo, Triple, is_held_out

CONE = ClassInfo("red striped cone", "object", "cone", "red", "striped")
BALL = ClassInfo("blue striped ball", "object", "ball", "blue", "striped")
WALL = ClassInfo("brick wall", "surface", material="brick wall")
FLOOR = ClassInfo("wooden floor", "surface", material="wooden floor")


def two_colour_scene(seed=10_000):
    """Left half class 0 in red, right half class 1 in blue."""
    views = np.zeros((2, 240, 320, 4), np.uint8)
    views[:, :, :160] = (200, 20, 20, 0)
    views[:, :, 160:] = (20, 20, 200, 1)
    return StoredScene(seed, (CONE, BALL), views)


def write_corpus(root):
    for split, seed in (("train", 10_000), ("train", 10_001), ("val", 20_000)):
        scene = two_colour_scene(seed)
        (root / split).mkdir(parents=True, exist_ok=True)
        np.save(root / split / f"{seed}.npy", scene.views)
        (root / split / f"{seed}.json").write_text(json.dumps([vars(info) for info in scene.classes]))
    return root


def test_a_caption_is_always_true_of_the_class_it_was_drawn_for():
    rng = np.random.default_rng(0)
    classes = [CONE, BALL, WALL, FLOOR]
    for row, info in enumerate(classes):
        captions = [draw_caption(info, rng) for _ in range(200)]
        assert truth(captions, classes)[row].all()
        named = np.mean([caption.text == info.name for caption in captions])
        assert 0.4 < named < 0.8, "class names must be frequent captions"


def test_truth_equals_comparing_attributes_one_by_one():
    rng = np.random.default_rng(1)
    classes = [CONE, BALL, WALL, FLOOR]
    captions = [draw_caption(classes[rng.integers(4)], rng) for _ in range(100)]
    slow = [[all(attributes(i).get(k) == v for k, v in c.stated) for c in captions] for i in classes]
    assert np.array_equal(truth(captions, classes), np.array(slow))


def test_loss_by_hand_for_two_images_and_one_shared_caption():
    images = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    texts = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    table = torch.tensor([[True, False, True], [False, True, False]])
    # Rows: image 0 has two equal answers of logit 1 and a false one of 0; image 1 a true 1 and two false 0.
    rows = (math.log(2 * math.e + 1) - 1 - math.log(2) + math.log(math.e + 2) - 1) / 2
    # Columns: each caption has one true image of logit 1 and one false of 0.
    columns = math.log(math.e + 1) - 1
    loss = multi_positive_loss(images, texts, table, torch.tensor(1.0))
    assert loss.item() == pytest.approx((rows + columns) / 2, abs=1e-5)


def test_perfectly_sharp_answers_cost_nothing():
    images = torch.eye(2)
    table = torch.tensor([[True, False, True], [False, True, False]])
    loss = multi_positive_loss(images, torch.eye(2)[[0, 1, 0]], table, torch.tensor(1e4))
    assert loss.item() == pytest.approx(0.0, abs=1e-4)


def test_captions_true_of_no_image_only_serve_as_wrong_answers():
    logits = torch.tensor([[1.0, 0.0, 2.0], [0.5, 0.3, 0.1]])
    table = torch.tensor([[True, False, False], [False, False, False]])
    expected = -torch.tensor([1.0, 0.0, 2.0]).log_softmax(0)[0]
    assert answer_loss(logits, table).item() == pytest.approx(expected.item(), abs=1e-6)
    assert answer_loss(logits, torch.zeros(2, 3, dtype=torch.bool)).item() == 0.0


def test_wrong_captions_differ_by_one_attribute_and_name_no_held_out_triple():
    rng = np.random.default_rng(0)
    for _ in range(200):
        stated = dict(wrong_caption(CONE, rng).stated)
        assert sum(stated[name] != value for name, value in attributes(CONE).items()) == 1
        assert not is_held_out(Triple(stated["shape"], stated["colour"], stated["pattern"]))


def test_every_value_is_an_answer_of_its_attributes_question():
    for name, captions in attribute_captions(np.random.default_rng(0)).items():
        assert truth(captions, [CONE, BALL]).sum(1).tolist() == [1, 1]
        assert not truth(captions, [WALL, FLOOR]).any()
        assert all(caption.stated[0][0] == name for caption in captions)


def test_plain_attention_equals_the_fused_one():
    torch.manual_seed(0)
    block = ResidualAttentionBlock(32, 4)
    tokens, mask = torch.randn(2, 7, 32), torch.full((7, 7), -math.inf).triu(1)
    expected = block(tokens), block(tokens, attn_mask=mask)
    train_with_plain_attention(torch.nn.Sequential(block))
    assert torch.allclose(block(tokens), expected[0], atol=1e-5)
    assert torch.allclose(block(tokens, attn_mask=mask), expected[1], atol=1e-5)


def test_windows_are_of_the_class_that_fills_them():
    pictures, classes = draw_windows([two_colour_scene()], 40, 48, np.random.default_rng(0))
    red = pictures[..., 0].reshape(40, -1).mean(1) > pictures[..., 2].reshape(40, -1).mean(1)
    assert pictures.shape == (40, 48, 48, 3)
    assert [info.name == CONE.name for info in classes] == red.tolist()
    assert 10 < sum(red) < 30, "both classes must be drawn about equally often"
    assert SIDES == (48, 34, 24)


def test_filling_class_needs_half():
    label = np.full((4, 4), 255, np.uint8)
    label[:2] = 3
    assert filling_class(label) == 3
    label[0, 0] = 4
    assert filling_class(label) == -1


def test_boxes_of_dense_crops_lie_on_their_class():
    for crop in draw_dense_crops([two_colour_scene()], 6, (8, 12), np.random.default_rng(0)):
        assert crop.picture.shape == (64, 96, 3)
        for (top, left, side), info in zip(crop.boxes, crop.classes, strict=True):
            box = crop.picture[8 * top : 8 * (top + side), 8 * left : 8 * (left + side)].astype(float)
            assert (box[..., 0].mean() > box[..., 2].mean()) == (info.name == CONE.name)


def test_box_means_by_hand():
    cells = torch.arange(12.0).view(1, 3, 4)
    assert box_means(cells, [(1, 2, 2)]).item() == pytest.approx((6 + 7 + 10 + 11) / 4)


def test_cell_labels_need_half_of_a_cell():
    labels = np.zeros((1, 4, 8), np.uint8)
    labels[0, :, 4:6], labels[0, :, 6:7], labels[0, :, 7:] = 1, 2, 255
    assert cell_labels(labels, 1, 2, 3).tolist() == [[[0, 1]]]
    labels[0, :, 5] = 255
    assert cell_labels(labels, 1, 2, 3).tolist() == [[[0, -1]]]


def test_places_of_two_crops_are_matched_even_when_mirrored():
    # Each crop's cells hold their own x, so sampling crop 1 at crop 0's places must give crop 0's own x.
    boxes = torch.tensor([[10.0, 20.0, 40.0]]), torch.tensor([[8.0, 16.0, 48.0]])
    crops = [
        Crops(torch.zeros(1, 3, 8, 8), box, torch.tensor([flip]))
        for box, flip in zip(boxes, (True, False), strict=True)
    ]
    places = [cell_positions(crop, 8) for crop in crops]
    assert places[0][0, 0, 0].tolist() == [47.5, 22.5], "a mirrored crop begins at its right"
    values, inside = sample_at(places[1].permute(0, 3, 1, 2), crops[1], places[0])
    assert inside.all()
    assert torch.allclose(values, places[0], atol=1e-3)
    back, inside = sample_at(places[0].permute(0, 3, 1, 2), crops[0], places[1])
    near = inside & ((places[1] - places[1].mean((1, 2), keepdim=True)).abs() < 15).all(-1)
    assert torch.allclose(back[near], places[1][near], atol=1e-3)
    assert not inside[0, 0].any(), "the top row of the larger crop lies outside the smaller one"


def test_balanced_targets_are_distributions_spread_over_the_prototypes():
    torch.manual_seed(0)
    similarities = torch.randn(64, 8) * 0.1
    similarities[:, 0] += 0.5
    targets = balanced_targets(similarities, 0.05, rounds=20)
    assert torch.allclose(targets.sum(1), torch.ones(64), atol=1e-5)
    assert torch.allclose(targets.sum(0), torch.full((8,), 8.0), rtol=0.1)


def test_retrieval_against_pairs_counted_one_by_one():
    torch.manual_seed(0)
    query, key = torch.randn(6, 3), torch.randn(9, 3)
    a, b = torch.tensor([0, 0, 1, 1, 1, 2]), torch.tensor([0, 1, 2, 0, 1, 2, 2, 1, 1])
    top1, area = retrieval(query, a, key, b)
    cosine = F.normalize(query, dim=-1) @ F.normalize(key, dim=-1).T
    same, other = cosine[a[:, None] == b], cosine[a[:, None] != b]
    assert area == pytest.approx((same[:, None] > other).float().mean().item(), abs=1e-6)
    hits = [float(b[cosine[i].argmax()] == a[i]) for i in range(6)]
    assert top1 == pytest.approx((sum(hits[:2]) / 2 + sum(hits[2:5]) / 3 + hits[5]) / 3)


def test_average_follows_the_closed_form():
    model = torch.nn.Linear(1, 1, bias=False)
    model.weight.data.fill_(0.0)
    average = Average(model)
    model.weight.data.fill_(1.0)
    for _ in range(3):
        average.update(model, 0.5)
    assert average.state["weight"].item() == pytest.approx(1 - 0.5**3)


def test_learning_rate_rises_then_falls_to_a_hundredth():
    assert learning_rate(1.0, 99, 0.0) == pytest.approx(0.5)
    assert learning_rate(1.0, 1000, 0.5) == pytest.approx(0.505)
    assert learning_rate(1.0, 1000, 1.0) == pytest.approx(0.01)


def test_exported_weights_are_half_precision_with_notes(tmp_path):
    from safetensors import safe_open

    export_weights(tmp_path / "w.safetensors", {"a": torch.ones(2)}, {"seed": "7"})
    with safe_open(tmp_path / "w.safetensors", "pt") as file:
        assert (file.metadata()["seed"], file.get_tensor("a").dtype) == ("7", torch.float16)


def test_corpus_ignores_half_written_scenes_and_grows(tmp_path):
    root = write_corpus(tmp_path)
    corpus = Corpus(root, "train")
    assert [scene.seed for scene in corpus.scenes] == [10_000, 10_001]
    np.save(root / "train" / "10002.partial.npy", np.zeros(1))
    assert corpus.refresh() == 2
    scene = load_scene(root / "train" / "10000.npy")
    assert scene.classes == (CONE, BALL)


@pytest.mark.slow
def test_both_trainers_learn_a_little_and_continue_where_they_stopped(tmp_path):
    from tools import train_tiny_clip, train_tiny_dino

    root = write_corpus(tmp_path)
    clip = train_tiny_clip.Options(root, tmp_path / "clip", windows=16, dense_crops=2)
    first = train_tiny_clip.Trainer(clip)
    scenes = Corpus(root, "train").scenes
    losses = [first.step(scenes, 1e-3)["windows"] for _ in range(12)]
    assert np.mean(losses[-3:]) < np.mean(losses[:3])
    first.save(tmp_path / "clip.pt", 9.0)
    second = train_tiny_clip.Trainer(clip)
    assert second.resume(tmp_path / "clip.pt") == 9.0
    assert second.step(scenes, 1e-3) == pytest.approx(first.step(scenes, 1e-3), rel=1e-3)
    dino = train_tiny_dino.Options(root, tmp_path / "dino", places=2)
    teacher = train_tiny_dino.Trainer(dino)
    teacher.step(scenes, 1e-3, 0.5)
    teacher.save(tmp_path / "dino.pt", 4.0)
    again = train_tiny_dino.Trainer(dino)
    assert again.resume(tmp_path / "dino.pt") == 4.0
    assert again.step(scenes, 1e-3, 0.5) == pytest.approx(teacher.step(scenes, 1e-3, 0.5), rel=1e-3)
