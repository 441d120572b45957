"""Scenes with marked queries: what is refused before anything is trained."""

import json
from pathlib import Path

import pytest

from ovs3d.benchmarks.lerf import bench_lerf_ovs
from ovs3d.benchmarks.plan import Plan
from ovs3d.errors import UserError
from tests.data.scene_writer import HEIGHT, WIDTH, write_colmap


def annotate(folder: Path, image: str) -> None:
    shape = {"label": "cup", "shape_type": "rectangle", "points": [[1, 1], [9, 9]]}
    folder.mkdir(parents=True, exist_ok=True)
    content = {"imageHeight": HEIGHT, "imageWidth": WIDTH, "shapes": [shape]}
    (folder / f"{image}.json").write_text(json.dumps(content))


def test_annotations_must_be_there_and_be_of_photographs(tmp_path: Path) -> None:
    plan = Plan("lerf-ovs", tmp_path, tmp_path / "out", "ovs3d", "held-out", 0)
    with pytest.raises(UserError, match=r"label holds no folder of annotations"):
        bench_lerf_ovs(plan)
    annotate(tmp_path / "label" / "ramen", "view_100")
    with pytest.raises(UserError, match="none of the folders ramen"):
        bench_lerf_ovs(plan)
    write_colmap(tmp_path / "ramen", 3)
    annotate(tmp_path / "label" / "ramen", "view_7")
    with pytest.raises(UserError, match=r"ramen has no photograph view_7"):
        bench_lerf_ovs(plan)
    assert not (tmp_path / "out").exists()
