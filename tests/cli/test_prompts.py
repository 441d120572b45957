"""`ovs3d prompts --views`: photographs by name, or so many; the command itself is tested in tests/evaluation."""

from pathlib import Path

import pytest

from ovs3d.cli.main import main
from ovs3d.cli.prompts import chosen_photographs
from ovs3d.errors import UserError
from tests.end_to_end.box_scene import write_scene


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    """Five photographs, view_00 to view_04, of which the first is held out."""
    return write_scene(tmp_path / "scene", views=5)


def test_number_is_that_of_training_views(scene: Path) -> None:
    assert list(chosen_photographs(scene, ["2"])) == ["view_01", "view_04"]
    assert len(chosen_photographs(scene, [])) == 3


def test_photographs_are_named_held_out_or_not(scene: Path) -> None:
    chosen = chosen_photographs(scene, ["view_03", "view_00"])
    assert list(chosen) == ["view_03", "view_00"] and chosen["view_00"] == scene / "images" / "view_00.png"
    with pytest.raises(UserError, match=r"transforms\.json has no photograph 'view_9'.* as view_00"):
        chosen_photographs(scene, ["view_01", "view_9"])


def test_number_may_be_a_name(scene: Path) -> None:
    for path in scene.glob("*/view_0*.png"):
        path.rename(path.with_name(path.name.removeprefix("view_0")))
    poses = scene / "transforms.json"
    poses.write_text(poses.read_text().replace("view_0", ""))
    assert list(chosen_photographs(scene, ["2"])) == ["2"]
    assert list(chosen_photographs(scene, ["02"])) == ["1", "4"] and len(chosen_photographs(scene, [])) == 3


def test_figure_of_no_known_format_is_refused_before_features_are_computed(
    scene: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "figure.abc"
    assert main(["prompts", "--data", str(scene), "--encoder", "tiny-clip", "--out", str(out)]) == 2
    assert "figure.abc is no name for a picture" in capsys.readouterr().err
