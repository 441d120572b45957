"""The pipeline between the stages, and the scores it averages."""

import math
from copy import deepcopy
from pathlib import Path

import pytest
import torch

from ovs3d.evaluation.metrics import psnr
from ovs3d.pipeline import OVS3DPipeline, flat_scores
from ovs3d.trainer import OVS3DTrainerConfig
from tests.end_to_end.box_scene import CLASSES, DIM, write_features, write_scene
from tests.end_to_end.runs import small_config

BORDER = 3


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> OVS3DTrainerConfig:
    root = tmp_path_factory.mktemp("pipeline")
    scene = write_scene(root / "scene", views=5)
    config = small_config(scene, write_features(root / "features", scene), root / "outputs", (BORDER, 6))
    config.prepare()
    return config


@pytest.fixture
def pipeline(prepared: OVS3DTrainerConfig) -> OVS3DPipeline:
    """An untrained pipeline, as the trainer builds it."""
    torch.manual_seed(0)
    return deepcopy(prepared.pipeline).setup(device="cpu", test_mode="val", world_size=1, local_rank=0)


def test_stage_changes_at_its_step(pipeline: OVS3DPipeline) -> None:
    pipeline.train()
    for step in range(BORDER):
        pipeline.model.set_step(step)
        outputs, losses, _ = pipeline.get_train_loss_dict(step)
        assert "rgb" in losses and "semantics" not in outputs and pipeline.datamanager.samples is None
    pipeline.model.set_step(BORDER)
    _, losses, metrics = pipeline.get_train_loss_dict(BORDER)
    assert set(losses) == {"feature", "rda", "selection"} and all(
        math.isfinite(float(value)) for value in losses.values()
    )
    assert 0.0 < metrics["selection_0"] < metrics["selection_1"], "the finer scale counts more at first"
    assert float(metrics["selection_0"] + metrics["selection_1"]) == pytest.approx(1.0)
    table = pipeline.datamanager.samples
    assert table is not None and pipeline.model.training
    torch.testing.assert_close(pipeline.model.text, torch.eye(DIM)[: len(CLASSES)])
    pipeline.get_train_loss_dict(BORDER + 1)
    assert pipeline.datamanager.samples is table, "the table is drawn once"


def test_distances_are_found_once_and_let_go(pipeline: OVS3DPipeline) -> None:
    pipeline.train()
    pipeline.model.config.distance_part = 0.5
    assert pipeline.datamanager.distances is None
    seen = []
    for step in range(BORDER):
        pipeline.model.set_step(step)
        _, losses, _ = pipeline.get_train_loss_dict(step)
        seen.append((pipeline.datamanager.distances, "distance" in losses))
    first, second, third = seen
    assert first[0] is not None and first == second and first[1]
    assert third == (None, False), "after half of the geometry stage"


def test_table_depends_on_the_seed_alone(pipeline: OVS3DPipeline) -> None:
    pipeline.eval()
    first, second = pipeline.draw_table((3, 4), 50), pipeline.draw_table((3, 4), 50)
    pipeline.config.seed = 1
    other = pipeline.draw_table((3, 4), 50)
    for name in ("views", "uv"):
        assert torch.equal(getattr(first, name), getattr(second, name)), name
    for name in ("points", "weights", "colours"):
        assert torch.equal(getattr(first.samples, name), getattr(second.samples, name)), name
    assert not torch.equal(first.uv, other.uv) and first.lattice == (4, 3, 4)
    assert set(first.views.tolist()) == {0, 1, 2, 3}


def test_table_holds_the_samples_of_its_rays(pipeline: OVS3DPipeline) -> None:
    pipeline.eval()
    table = pipeline.draw_table((0, 0), 40)
    samples = pipeline.model.heaviest(pipeline.datamanager.rays_at(table.views, table.uv))
    for name in ("points", "weights", "colours"):
        rough, exact = getattr(table.samples, name).float(), getattr(samples, name)
        torch.testing.assert_close(rough, exact, atol=2e-3, rtol=0.0)


def test_relevancy_range_spans_the_features(pipeline: OVS3DPipeline) -> None:
    pipeline.start_semantics()
    span = pipeline.model.relevancy_range
    assert span is not None and span.shape == (2, 4, 2, len(CLASSES))
    # One-hot features at level "fine": every class is somewhere, and somewhere it is not.
    torch.testing.assert_close(span[1, :, 1] - span[0, :, 1], torch.ones(4, len(CLASSES)))
    assert (span.mean(dim=0)[:, 1] > 0.0).all() and (span.mean(dim=0)[:, 1] < 1.0).all()


def test_evaluation_counts_every_view_once(pipeline: OVS3DPipeline) -> None:
    pipeline.model.set_step(BORDER)
    pipeline.start_semantics()
    pipeline.eval()
    first, second = (pipeline.get_average_eval_image_metrics() for _ in range(2))
    assert {"psnr", "ssim", "miou", "macc", "pixel_accuracy", "miou_paper", "iou/room"} <= set(first)
    assert first["miou"] == second["miou"]
    labelled = int(pipeline.model.confusion.counts.sum())
    assert labelled == 48 * 36, "one held-out view of five"


def test_training_scores_a_lattice_of_the_held_out_pixels(pipeline: OVS3DPipeline) -> None:
    pipeline.model.set_step(BORDER)
    pipeline.start_semantics()
    metrics = pipeline.get_average_eval_image_metrics(step=BORDER)
    assert {"psnr", "miou", "miou_paper", "iou/room"} <= set(metrics)
    assert int(pipeline.model.confusion.counts.sum()) == 6 * 5, "one pixel in 64 of the one held-out view"
    assert pipeline.model.training, "training goes on"
    pipeline.eval()
    view = pipeline.datamanager.eval_dataset
    whole = pipeline.model.get_outputs_for_camera(view.cameras[0:1])["rgb"].clamp(0.0, 1.0)
    assert metrics["psnr"] == pytest.approx(psnr(whole[::8, ::8], view[0]["image"][::8, ::8]), abs=1e-3)


def test_labelled_views_alone_are_scored(pipeline: OVS3DPipeline) -> None:
    pipeline.model.set_step(BORDER)
    pipeline.start_semantics()
    pipeline.eval()
    item = pipeline.datamanager.eval_dataset[0]
    outputs = pipeline.model.get_outputs_for_camera(pipeline.datamanager.eval_dataset.cameras[0:1])
    model = pipeline.model
    outputs["class_id"] = item["labels"][..., None].float()
    for labels in (item["labels"], torch.full_like(item["labels"], -1)):
        metrics, images = model.get_image_metrics_and_images(outputs, {**item, "labels": labels})
        assert {"psnr", "ssim"} == set(metrics) and {"img", "depth", "segmentation"} <= set(images)
    assert model.confusion.summary()["miou"] == 1.0
    # Not all of the classes are in the view.
    assert model.paper_score.summary() == {
        "miou_paper": len(item["labels"].unique()) / len(CLASSES),
        "accuracy_paper": 1.0,
    }


def test_masked_pixels_are_not_measured(pipeline: OVS3DPipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset, model = pipeline.datamanager.eval_dataset, pipeline.model
    item, mask = dataset[0], torch.zeros(36, 48, 1, dtype=torch.bool)
    mask[:, 24:] = True
    pipeline.eval()
    outputs = model.get_outputs_for_camera(dataset.cameras[0:1])
    metrics, _ = model.get_image_metrics_and_images(outputs, {**item, "mask": mask})
    rendered = outputs["rgb"].clamp(0.0, 1.0)[:, 24:]
    assert metrics["psnr"] == pytest.approx(psnr(rendered, item["image"][:, 24:]), abs=1e-4)
    monkeypatch.setattr(type(dataset), "__getitem__", lambda *_: {**item, "mask": mask})
    while_training = pipeline.get_average_eval_image_metrics(step=BORDER)
    assert while_training["psnr"] == pytest.approx(psnr(rendered[::8, ::8], item["image"][::8, 24::8]), abs=1e-3)


@pytest.mark.parametrize("step", [None, BORDER], ids=["ns-eval", "training"])
def test_fully_masked_views_are_not_averaged(
    step: int | None, prepared: OVS3DTrainerConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = deepcopy(prepared.pipeline)
    config.datamanager.dataparser.held_out = ("view_00", "view_01")  # pyright: ignore[reportAttributeAccessIssue]
    pipeline = config.setup(device="cpu", test_mode="test", world_size=1, local_rank=0)
    pipeline.eval()
    dataset = pipeline.datamanager.eval_dataset
    before = [pipeline.model.get_outputs_for_camera(dataset.cameras[i : i + 1])["rgb"] for i in range(2)]
    get = type(dataset).__getitem__
    masks = [torch.zeros(36, 48, 1, dtype=torch.bool), torch.ones(36, 48, 1, dtype=torch.bool)]
    monkeypatch.setattr(type(dataset), "__getitem__", lambda self, i: {**get(self, i), "mask": masks[i]})
    pipeline.datamanager.setup_eval()
    metrics = pipeline.get_average_eval_image_metrics(step)
    every = 1 if step is None else 8
    rendered, photo = (image[::every, ::every] for image in (before[1].clamp(0.0, 1.0), get(dataset, 1)["image"]))
    assert metrics["psnr"] == pytest.approx(psnr(rendered, photo), abs=1e-3)


def test_photographs_that_have_moved_end_the_program(
    prepared: OVS3DTrainerConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = deepcopy(prepared.pipeline)
    config.datamanager.data = tmp_path / "gone"
    with pytest.raises(SystemExit) as stopped:  # So `ns-eval` and its like open a run.
        config.setup(device="cpu", test_mode="test")
    assert stopped.value.code == 2 and "gone" in capsys.readouterr().err


def test_geometry_stage_evaluates_without_miou(pipeline: OVS3DPipeline) -> None:
    pipeline.eval()
    metrics = pipeline.get_average_eval_image_metrics()
    assert "psnr" in metrics and "miou" not in metrics


@pytest.mark.parametrize("step", [None, BORDER], ids=["ns-eval", "training"])
def test_what_no_label_measures_is_left_out(step: int | None, pipeline: OVS3DPipeline, monkeypatch) -> None:
    pipeline.model.set_step(BORDER)
    pipeline.start_semantics()
    labels = torch.zeros(36, 48, dtype=torch.int64)
    monkeypatch.setattr(pipeline.datamanager.eval_dataset, "get_metadata", lambda data: {"labels": labels})
    metrics = pipeline.get_average_eval_image_metrics(step)
    assert "iou/room" in metrics and "iou/red box" not in metrics
    assert all(math.isfinite(value) for value in metrics.values())


def test_scores_become_one_level_of_numbers() -> None:
    summary = {
        "miou": 0.5,
        "absent": ["c"],
        "labelled_pixels": 7,
        "iou": {"a": 0.5, "c": math.nan},
        "recall": {"a": 1.0},
    }
    flat = flat_scores(summary)
    assert flat["miou"] == 0.5 and flat["iou/a"] == 0.5 and "absent" not in flat and "recall" not in flat
    assert all(isinstance(value, float) for value in flat.values())
