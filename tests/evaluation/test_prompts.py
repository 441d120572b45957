"""Words before training: maps of the teacher's cosines, and the words that it mixes up."""

from pathlib import Path

import numpy as np
import pytest
import torch

from ovs3d.cli.main import main
from ovs3d.evaluation.figures import MARGIN, TITLE_HEIGHT, relevancy_to_rgb
from ovs3d.evaluation.prompts import (
    FONT_SIZE,
    PANEL_WIDTH,
    ViewMaps,
    prompts_figure,
    range_title,
    relevancy_maps,
    warnings,
)
from ovs3d.palette import class_colours, load_font, shorten
from ovs3d.relevancy import unit
from ovs3d.teachers.base import FeatureMeta
from ovs3d.teachers.store import FeatureStore
from tests.end_to_end.box_scene import CLASSES, write_features, write_scene


def view_of(relevancies: torch.Tensor) -> ViewMaps:
    return ViewMaps("a view", np.full((30, 40, 3), 77, np.uint8), relevancies)


def test_maps_are_the_cosines_of_every_valid_cell(tmp_path: Path) -> None:
    features = np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype(np.float16)
    features[1, 2, 3] = 0.0
    np.save(tmp_path / "view.npy", features)
    store = FeatureStore(FeatureMeta("fake", "fake", 5, ("a", "b"), False), [tmp_path / "view.npy"])
    text = unit(torch.randn(2, 5))
    maps = relevancy_maps(store, 0, text)
    assert maps.shape == (2, 3, 4, 2) and maps[1, 2, 3].isnan().all() and maps.isnan().sum() == 2
    own = torch.from_numpy(features[0, 1, 2]).float()
    torch.testing.assert_close(maps[0, 1, 2], torch.cosine_similarity(own[None], text, dim=-1), atol=1e-3, rtol=0.0)


@pytest.mark.parametrize("name", ["cat", "blue zigzag bowl with a rim", "Ein grüner, gestreifter Würfel"])
def test_titles_tell_the_whole_range(name: str) -> None:
    title, font = range_title(name, -0.5, 0.375), load_font(FONT_SIZE, name)
    assert title.startswith(name[:3]) and title.endswith(" -0.50 to 0.38")
    assert shorten(title, font, PANEL_WIDTH) == title, "it fits"


def test_words_that_are_one_to_the_teacher_are_named() -> None:
    generator = torch.Generator().manual_seed(0)
    different = torch.randn(1, 8, 9, 2, generator=generator)
    assert list(warnings([view_of(different)], ["cat", "dog"])) == []
    alike = torch.cat([different, different[..., :1] + 0.05 * torch.randn(1, 8, 9, 1, generator=generator)], dim=-1)
    (warning,) = warnings([view_of(alike)], ["cat", "dog", "kitten"])
    assert "'cat' from 'kitten'" in warning and "(correlation 1.00)" in warning


def test_word_that_is_nowhere_the_best_is_named() -> None:
    cells = torch.randn(1, 8, 9, 3, generator=torch.Generator().manual_seed(0))
    cells[..., 1] -= 100.0
    (warning,) = warnings([view_of(cells)], ["cat", "dog", "cow"])
    assert warning.startswith("'dog' is the best word nowhere")


def test_cells_without_a_feature_count_for_nothing() -> None:
    cells = torch.full((1, 4, 4, 2), torch.nan)
    (warning,) = warnings([view_of(cells)], ["cat", "dog"])
    assert "says nothing" in warning


def test_figure_has_a_row_for_every_view_and_scale_and_a_panel_for_every_word() -> None:
    maps = torch.zeros(2, 2, 2, 2)
    maps[0, :, 0, 1] = 1.0  # At the first scale the second word is on the left.
    maps[1, 0, 0] = torch.nan
    figure = prompts_figure([view_of(maps), view_of(maps)], ["cat", "dog"], ["1/5", "1/7"])
    panel_height = PANEL_WIDTH * 30 // 40
    row_height = TITLE_HEIGHT + panel_height + MARGIN
    assert figure.shape[0] > 4 * row_height and figure.shape[1] == 4 * (PANEL_WIDTH + MARGIN) + MARGIN

    def colour_at(row: int, panel: int, x: float, y: float) -> list[int]:
        left = MARGIN + panel * (PANEL_WIDTH + MARGIN)
        place = row * row_height + TITLE_HEIGHT + int(y * panel_height), left + int(x * PANEL_WIDTH)
        return figure[place].tolist()

    blue, red = relevancy_to_rgb(np.array([[0.0, 1.0]]))[0].tolist()
    colours = class_colours(2).tolist()
    assert colour_at(0, 0, 0.5, 0.5) == [77, 77, 77]
    assert colour_at(0, 1, 0.25, 0.5) == colours[1] and colour_at(0, 1, 0.75, 0.5) == colours[0]
    assert colour_at(2, 3, 0.25, 0.5) == red and colour_at(2, 3, 0.75, 0.5) == blue
    assert colour_at(1, 1, 0.25, 0.25) == [0, 0, 0] == colour_at(1, 3, 0.25, 0.25)


def test_scale_at_which_nothing_is_known_is_black() -> None:
    maps = torch.zeros(2, 2, 2, 2)
    maps[1] = torch.nan
    figure = prompts_figure([view_of(maps)], ["best word", "dog"], ["1/5", "1/7"])
    panel_height = PANEL_WIDTH * 30 // 40
    middle = TITLE_HEIGHT + panel_height + MARGIN + TITLE_HEIGHT + panel_height // 2
    for panel in (1, 2, 3):
        assert figure[middle, MARGIN + panel * (PANEL_WIDTH + MARGIN) + PANEL_WIDTH // 2].tolist() == [0, 0, 0]


def test_command_writes_the_figure_before_any_training(tmp_path: Path, capsys) -> None:
    scene = tmp_path / "scene"
    write_scene(scene)
    features, out = write_features(tmp_path / "features", scene), tmp_path / "new" / "prompts.png"
    words = [*CLASSES, "a copy: red box"]
    where = ["--data", str(scene), "--features", str(features), "--out", str(out), "--views", "2"]
    assert main(["prompts", *where, "--classes", *words]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "'red box' from 'a copy'" in said and "'room' from" not in said
    assert out.exists() and list(tmp_path.iterdir()) != []
    assert main(["prompts", *where, "--classes", *CLASSES, "--views", "view_03", "view_00"]) == 0
    assert main(["prompts", *where, "--classes", "room", "a dragon"]) == 2
