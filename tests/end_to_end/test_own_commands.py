"""`ovs3d eval`, `ovs3d render` and `ovs3d reclass` on a run."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ovs3d.cli.main import main
from ovs3d.evaluation.figures import MARGIN, TITLE_HEIGHT
from ovs3d.evaluation.metrics import psnr
from ovs3d.evaluation.protocols import evaluate
from ovs3d.export.video import read_frames
from ovs3d.scene import Scene
from ovs3d.teachers.cache import default_cache_root
from tests.end_to_end.box_scene import HEIGHT, WIDTH
from tests.end_to_end.camera_path import write_camera_path
from tests.end_to_end.runs import checkpoint, small_config, train


def test_eval_writes_numbers_figures_and_masks(run: Path, scene: Scene, tmp_path: Path, capsys) -> None:
    out, masks = tmp_path / "out", tmp_path / "masks"
    assert main(["eval", str(run), "--out", str(out), "--masks", str(masks), "--baseline-2d"]) == 0
    written = json.loads((out / "eval.json").read_text())
    ours = evaluate(scene)
    assert written["segmentation"]["miou"] == pytest.approx(ours["segmentation"]["miou"])
    assert written["psnr"] == pytest.approx(ours["psnr"]) and {"machine", "versions"} <= set(written["header"])
    # The exact level's own features, looked up at the pixels that they were made from, are the labels themselves.
    assert written["baseline_2d"]["raw/fine"] == 1.0 > written["baseline_2d"]["raw/coarse"]
    assert sorted(path.name for path in (out / "figures").iterdir()) == ["view_00.png", "view_08.png"]
    for index, name in enumerate(("view_00.png", "view_08.png")):
        labels = scene.segment(scene.held_out_outputs.cameras[index : index + 1]).labels
        assert np.array_equal(np.asarray(Image.open(masks / name)), labels.numpy())
    assert "mIoU" in capsys.readouterr().out


def test_eval_without_labels_says_so(run: Path, scene_folder: Path, tmp_path: Path, capsys) -> None:
    bare = shutil.copytree(scene_folder, tmp_path / "bare", ignore=shutil.ignore_patterns("labels"))
    assert main(["eval", str(run), "--out", str(tmp_path / "out"), "--data", str(bare)]) == 0
    assert "no labels" in capsys.readouterr().out
    assert json.loads((tmp_path / "out" / "eval.json").read_text())["segmentation"] is None


def test_eval_leaves_out_what_lies_under_masks(run: Path, scene_folder: Path, scene: Scene, tmp_path: Path) -> None:
    masked = shutil.copytree(scene_folder, tmp_path / "masked")
    poses = json.loads((masked / "transforms.json").read_text())
    mask = np.full((HEIGHT, WIDTH), 255, np.uint8)
    mask[:, : WIDTH // 2] = 0
    Image.fromarray(mask).save(masked / "mask.png")
    for frame in poses["frames"]:
        photo = np.asarray(Image.open(masked / frame["file_path"])).copy()
        photo[mask == 0] = 0
        Image.fromarray(photo).save(masked / frame["file_path"])
        frame["mask_path"] = "mask.png"
    (masked / "transforms.json").write_text(json.dumps(poses))
    assert main(["eval", str(run), "--out", str(tmp_path / "out"), "--data", str(masked)]) == 0
    rows = json.loads((tmp_path / "out" / "eval.json").read_text())["views"]
    seen = torch.from_numpy(mask > 0)
    for row, view in zip(rows, scene.held_out(), strict=True):
        rgb = scene.segment(view.camera, with_scores=False).rgb
        assert row["psnr"] == pytest.approx(psnr(rgb[seen][None], view.photo[seen][None]), abs=1e-3)


def test_eval_of_geometry_alone_measures_colour_and_has_no_masks(
    scene_folder: Path, features_folder: Path, tmp_path: Path, capsys
) -> None:
    config = small_config(scene_folder, features_folder, tmp_path, (6, 6))
    train(config)
    assert main(["eval", str(config.get_base_dir()), "--out", str(tmp_path / "out")]) == 0
    written = json.loads((tmp_path / "out" / "eval.json").read_text())
    assert written["segmentation"] is None and written["psnr"] > 5.0 and len(written["views"]) == 2
    masks = tmp_path / "masks"
    assert main(["eval", str(config.get_base_dir()), "--masks", str(masks)]) == 2
    assert "leave --masks out" in capsys.readouterr().err and not masks.exists()


def test_render_writes_a_closed_path_and_a_given_one(run: Path, tmp_path: Path) -> None:
    assert main(["render", str(run), "--out", str(tmp_path / "a.mp4"), "--frames", "10", "--fps", "5"]) == 0
    given = write_camera_path(tmp_path / "path.json", frames=2)
    assert main(["render", str(run), "--out", str(tmp_path / "b.mp4"), "--path", str(given)]) == 0
    closed, own = read_frames(tmp_path / "a.mp4"), read_frames(tmp_path / "b.mp4")
    assert len(closed) == 10 and len(own) == 2
    assert closed.shape[2] == own.shape[2] == 3 * WIDTH and closed.shape[1] > HEIGHT
    assert not np.array_equal(closed[0], closed[5])


def test_render_shows_what_is_found_of_a_query(run: Path, tmp_path: Path) -> None:
    given = write_camera_path(tmp_path / "path.json", frames=2)
    assert main(["render", str(run), "--query", "red box", "--out", str(tmp_path / "q.mp4"), "--path", str(given)]) == 0
    frames = read_frames(tmp_path / "q.mp4")
    panel = (frames.shape[2] - MARGIN) // 3
    colour, found = frames[:, TITLE_HEIGHT:, :panel].mean(), frames[:, TITLE_HEIGHT:, panel : 2 * panel].mean()
    assert len(frames) == 2 and 0.3 * colour < found < 0.9 * colour, "what is no red box is dark"


def test_reclass_learns_other_words_on_the_same_geometry(run: Path, tmp_path: Path) -> None:
    words = ["room", "a box: red box | blue box", "green box"]
    where = ["--output-dir", str(tmp_path), "--timestamp", "again"]
    assert main(["reclass", str(run), "--classes", *words, *where]) == 0
    again = tmp_path / "boxes" / "ovs3d-tiny" / "again"
    scene = Scene.load(again)
    assert scene.classes == ("room", "a box", "green box")
    scores = evaluate(scene)["segmentation"]
    # The labels know no class "a box", so that only the other two are measured.
    assert scores["absent"] == ["a box"] and scores["iou"]["room"] > 0.8 and scores["iou"]["green box"] > 0.5
    old, new = checkpoint(run)["pipeline"], checkpoint(again)["pipeline"]
    assert all(new[name].equal(old[name]) for name in old if name.startswith(("_model.radiance", "_model.proposal")))


def test_reclass_extracts_no_features(patch_run: Path, tmp_path: Path) -> None:
    def cache() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in default_cache_root().rglob("*")}

    before = cache()
    assert any(path.suffix == ".npy" for path in before), "the run's patch encoder keeps its features there"
    where = ["--output-dir", str(tmp_path), "--timestamp", "again"]
    assert main(["reclass", str(patch_run), "--classes", "room", "red box", *where]) == 0
    assert Scene.load(tmp_path / "boxes" / "ovs3d-tiny" / "again").classes == ("room", "red box")
    assert cache() == before


@pytest.mark.parametrize("size", [0, 5000])
def test_checkpoint_cut_short_is_one_sentence(size: int, run: Path, tmp_path: Path, capsys) -> None:
    cut = shutil.copytree(run, tmp_path / "cut")
    newest = max((cut / "nerfstudio_models").iterdir())
    newest.write_bytes(newest.read_bytes()[:size])
    assert main(["eval", str(cut)]) == 2
    printed = capsys.readouterr().err.strip()
    assert f"{newest} cannot be read" in printed and "\n" not in printed


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["reclass", "{run}", "--classes", "room", "unicorn"], "unicorn"),
        (["reclass", "{run}", "--classes", "room"], "at least 2"),
        (["eval", "{run}/nowhere"], "nowhere"),
        (["render", "{run}", "--path", "{run}/config.yml"], "camera path"),
        (["render", "{run}", "--out", "{run}/video.avi"], ".mp4"),
        (["render", "{run}", "--out", "{run}/config.yml/video.mp4"], "config.yml cannot be made"),
        (["eval", "{run}", "--out", "{run}/config.yml"], "config.yml"),
        (["query", "{run}", ""], "empty word"),
        (["query", "{run}", "red box", "--negatives", ""], "empty word"),
        (["eval", "{run}", "--data", "{run}/gone"], "gone"),
    ],
)
def test_bad_input_is_one_sentence(arguments: list[str], named: str, run: Path, capsys) -> None:
    before = sorted(run.parent.rglob("*"))
    try:
        status = main([word.format(run=run) for word in arguments])
    except SystemExit as stopped:  # The host's entry, which reclass calls, ends the program itself.
        status = stopped.code
    printed = capsys.readouterr().err.strip()
    assert status == 2 and named in printed and "\n" not in printed
    assert sorted(run.parent.rglob("*")) == before
