"""Answers draw themselves."""

import io
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ovs3d.evaluation.figures import MARGIN, TITLE_HEIGHT
from ovs3d.query.places import Places
from ovs3d.query.result import OUTSIDE, QueryResult
from ovs3d.query.score import Judgement


def no_places() -> Places:
    raise AssertionError("a picture needs no places")


def test_picture_darkens_what_was_not_found(tmp_path: Path) -> None:
    mask = torch.zeros(180, 240, dtype=torch.bool)
    mask[:, 120:] = True
    scores = mask.float()
    result = QueryResult("a mug", Judgement(scores, None, mask), torch.full((180, 240, 3), 0.8), no_places)
    assert result.found
    row = TITLE_HEIGHT + 90
    left = [MARGIN + panel * (240 + MARGIN) for panel in range(3)]
    bright, dark = round(0.8 * 255), round(0.8 * OUTSIDE * 255)
    assert result.picture[row, left[0] + 60].tolist() == [bright] * 3
    assert result.picture[row, left[1] + 60].tolist() == [dark] * 3
    assert result.picture[row, left[1] + 180].tolist() == [bright] * 3
    blue, red = result.picture[row, left[2] + 60], result.picture[row, left[2] + 180]
    assert blue[2] > blue[0] and red[0] > red[2]
    result.save(tmp_path / "answer.png")
    assert np.array_equal(np.asarray(Image.open(tmp_path / "answer.png")), result.picture)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(result._repr_png_()))), result.picture)


def test_empty_answer_is_not_found() -> None:
    nothing = torch.zeros(2, 2)
    result = QueryResult("a mug", Judgement(nothing, None, nothing.bool()), torch.ones(2, 2, 3), no_places)
    assert not result.found and result.picture.shape[2] == 3


def test_heat_is_the_confidence_where_there_is_one() -> None:
    scores, sure = torch.tensor([[0.0, 1.0]]), torch.tensor([[1.0, 0.0]])
    rgb = torch.ones(1, 2, 3)
    by_confidence = QueryResult("a mug", Judgement(scores, sure, sure > 0.5), rgb, no_places).heat
    by_score = QueryResult("a mug", Judgement(scores, None, scores > 0.5), rgb, no_places).heat
    assert np.array_equal(by_confidence[:, ::-1], by_score) and not np.array_equal(by_confidence, by_score)
