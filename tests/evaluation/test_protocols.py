"""Scores of a run by hand: a scene that renders what it is told."""

import math
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from PIL import Image

from ovs3d.data.datamanager import OVS3DDataManagerConfig
from ovs3d.errors import UserError
from ovs3d.evaluation import metrics, protocols
from ovs3d.evaluation.metrics import ConfusionMatrix, relative_depth_errors
from ovs3d.relevancy import relevancy
from ovs3d.teachers.bank import TeacherBank
from ovs3d.teachers.base import FeatureMeta
from ovs3d.teachers.store import FeatureStore
from ovs3d.views import Segmentation, View

CLASSES = ("a", "b", "c")
PREDICTED = torch.tensor([[0, 0, 1, 1], [0, 0, 1, 1]])


class FakeScene:
    """Two views of 2 x 4 pixels with the same rendering and other photographs and labels."""

    classes = CLASSES
    model = SimpleNamespace(has_semantics=True)

    def __init__(self, labelled: bool) -> None:
        self.labels = [torch.tensor([[0, 0, 0, 1], [-1, 0, 1, 1]]), torch.tensor([[1, 1, 1, 1], [1, 1, 1, 1]])]
        if not labelled:
            self.labels = [None, None]

    def held_out(self) -> Iterator[View]:
        for index, labels in enumerate(self.labels):
            photo = torch.full((2, 4, 3), 0.4 + 0.2 * index)
            yield View(f"view_{index}", cast(Any, index), photo, labels)

    def segment(self, camera: int, with_scores: bool) -> Segmentation:
        scores = torch.nn.functional.one_hot(PREDICTED, 3).float()
        return Segmentation(PREDICTED, scores, torch.full((2, 4, 3), 0.5), torch.ones(2, 4), CLASSES)


@pytest.fixture(autouse=True)
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fakes are not what the annotations say, and SSIM needs more than 2 x 4 pixels."""
    monkeypatch.setattr(metrics, "ssim", lambda *_: 0.25)
    monkeypatch.setattr(protocols, "evaluate", getattr(protocols.evaluate, "__wrapped__", protocols.evaluate))


@pytest.fixture
def views(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets `View` hold a number for a camera."""
    monkeypatch.setattr(View, "__init__", getattr(View.__init__, "__wrapped__", View.__init__))


def evaluate(labelled: bool, **options: Any) -> dict[str, Any]:
    return protocols.evaluate(cast(Any, FakeScene(labelled)), **options)


@pytest.mark.usefixtures("views")
def test_scores_by_hand() -> None:
    results = evaluate(True)
    # All pixels together: a has 4 labels, all hit but one, with 4 + 1 predictions; b has 3 + 8 labels.
    scores = results["segmentation"]
    assert scores["iou"]["a"] == pytest.approx(3 / 8) and scores["iou"]["b"] == pytest.approx(7 / 12)
    assert scores["absent"] == ["c"] and scores["miou"] == pytest.approx((3 / 8 + 7 / 12) / 2)
    assert scores["labelled_pixels"] == 15 and scores["pixel_accuracy"] == pytest.approx(10 / 15)
    assert results["psnr"] == pytest.approx(20.0) and results["ssim"] == 0.25
    assert [row["view"] for row in results["views"]] == ["view_0", "view_1"]


@pytest.mark.usefixtures("views")
def test_fully_masked_view_is_listed_but_not_averaged(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = FakeScene(True).held_out()
    hidden = View("hidden", first.camera, torch.zeros(2, 4, 3), None, mask=torch.zeros(2, 4, dtype=torch.bool))
    monkeypatch.setattr(FakeScene, "held_out", lambda self: iter((first, hidden, second)))
    results = evaluate(True)
    assert results["psnr"] == pytest.approx(20.0) and math.isnan(results["views"][1]["psnr"])


def test_depth_errors_are_those_of_known_pixels() -> None:
    rendered, known = torch.tensor([[1.0, 2.0], [3.0, 9.0]]), torch.tensor([[2.0, 2.0], [0.0, 10.0]])
    errors = relative_depth_errors(rendered, known)
    assert errors.tolist() == pytest.approx([0.5, 0.0, 0.1])
    assert protocols.depth_summary([errors]) == {"abs_rel": pytest.approx(0.2), "median": pytest.approx(0.1)}
    assert protocols.depth_summary([]) is None


@pytest.mark.usefixtures("views")
def test_scene_without_labels_has_no_segmentation_scores(tmp_path: Path) -> None:
    results = evaluate(False, figures=tmp_path / "figures", masks=tmp_path / "masks")
    assert results["segmentation"] is None and results["paper"] is None and results["psnr"] == pytest.approx(20.0)
    assert not (tmp_path / "figures").exists(), "a figure shows the error, which needs labels"
    masks = sorted((tmp_path / "masks").iterdir())
    assert len(masks) == 2 and np.array_equal(np.asarray(Image.open(masks[0])), PREDICTED.numpy())


@pytest.mark.usefixtures("views")
def test_more_classes_than_masks_can_tell_are_refused_before_rendering(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeScene, "classes", tuple(map(str, range(256))))
    with pytest.raises(UserError, match=r"256 classes.*at most 255"):
        evaluate(True, figures=tmp_path / "figures", masks=tmp_path / "masks")
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(FakeScene, "classes", tuple(map(str, range(255))))
    evaluate(True, masks=tmp_path / "masks")


def random_store(folder: Path) -> FeatureStore:
    """One view of 3 x 4 cells at two levels."""
    values = np.random.default_rng(0).normal(size=(2, 3, 4, 5))
    values /= np.linalg.norm(values, axis=-1, keepdims=True)
    np.save(folder / "0.npy", values.astype(np.float16))
    return FeatureStore(FeatureMeta("t", "s", 5, ("x", "y"), True), [folder / "0.npy"])


def test_features_at_pixels_are_those_of_the_cells_at_full_size(tmp_path: Path) -> None:
    store = random_store(tmp_path)
    values = store.view(0)
    features, valid = protocols.pixel_features(store, 0, (3, 4))
    expected = torch.from_numpy(values.astype(np.float32)).permute(1, 2, 0, 3).reshape(12, 2, 5)
    torch.testing.assert_close(features, expected, atol=1e-3, rtol=0.0)
    assert valid.all()


def test_baseline_of_the_teacher_holds_few_features_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, seen = random_store(tmp_path), []
    lookup = store.lookup
    monkeypatch.setattr(store, "lookup", lambda views, uv: seen.append(len(uv)) or lookup(views, uv))
    monkeypatch.setattr(protocols, "open_teachers", lambda *_: TeacherBank(store, None, (0,), (0, 1)))
    monkeypatch.setattr(protocols, "photograph_paths", lambda _: [])
    labels = torch.randint(-1, 3, (9, 12), generator=torch.Generator().manual_seed(1))
    text = torch.nn.functional.normalize(torch.eye(5)[:3] + 0.1, dim=-1)
    scene: Any = SimpleNamespace(
        classes=CLASSES,
        model=SimpleNamespace(text=text),
        config=SimpleNamespace(pipeline=SimpleNamespace(datamanager=OVS3DDataManagerConfig())),
        train_outputs=None,
        held_out_outputs=None,
        held_out=lambda: [SimpleNamespace(labels=labels, photo=torch.zeros(9, 12, 3))],
    )
    baseline = getattr(protocols.baseline_2d, "__wrapped__", protocols.baseline_2d)
    whole = baseline(scene)
    monkeypatch.setattr(protocols, "PIXELS", 25)
    assert baseline(scene) == pytest.approx(whole) and seen == [108, 25, 25, 25, 25, 8]
    kinds = ("raw", "per-view", "scene", "balanced")
    assert set(whole) == {f"{kind}/{level}" for kind in kinds for level in ("x", "y", "mean")}
    features, valid = protocols.pixel_features(store, 0, (9, 12))
    own = relevancy(features, text) * valid[..., None]
    stretched = (own - own.amin(dim=0)) / (own.amax(dim=0) - own.amin(dim=0))
    for name, values in (("raw/x", own[:, 0]), ("raw/mean", own.mean(dim=1)), ("per-view/y", stretched[:, 1])):
        matrix = ConfusionMatrix(CLASSES)
        matrix.update(values.argmax(dim=-1).view(9, 12), labels)
        assert whole[name] == pytest.approx(matrix.summary()["miou"]), name
