"""The warning about unfamiliar pictures: when it comes, and that it comes once."""

import json
import logging

import pytest
import torch

from ovs3d.encoders.familiarity import Familiarity, picture_statistics

LEAST = 8


@pytest.fixture
def familiarity(tmp_path):
    mean = picture_statistics(torch.full((1, 3, 60, 80), 0.5))[0]
    content = {"limit": 2.0, "least": LEAST, "mean": mean.tolist(), "precision": (torch.eye(10) * 100).tolist()}
    (tmp_path / "familiar.json").write_text(json.dumps({"tiles": content}))
    return Familiarity("toy", tmp_path / "familiar.json", "tiles")


def test_statistics_of_two_stripes_by_hand():
    image = torch.zeros(1, 3, 60, 80)
    image[:, 0, :, 40:] = 1.0
    mean_r, mean_g, _, std_r, _, _, edges, _, saturation, _ = picture_statistics(image)[0].tolist()
    assert (mean_r, mean_g, saturation) == (0.5, 0.0, 0.5)
    assert std_r == pytest.approx(0.5, abs=1e-3)
    # One of 79 neighbouring pairs differs, by a third in luminance.
    assert edges == pytest.approx(1 / 79 / 3, rel=1e-4)


def test_distance_by_hand(familiarity):
    familiarity.observe(torch.full((2, 3, 60, 80), 0.6))
    # Three channel means are off by 0.1, in units of a tenth.
    assert familiarity.distance == pytest.approx(3**0.5, rel=1e-3)


def test_warns_once_and_only_with_enough_pictures(familiarity, caplog):
    with caplog.at_level(logging.WARNING):
        familiarity.observe(torch.full((LEAST - 1, 3, 60, 80), 0.9))
        assert not caplog.records
        familiarity.observe(torch.full((1, 3, 60, 80), 0.9))
        familiarity.observe(torch.full((1, 3, 60, 80), 0.9))
    assert len(caplog.records) == 1
    assert "toy" in caplog.text


def test_familiar_pictures_are_silent(familiarity, caplog):
    with caplog.at_level(logging.WARNING):
        familiarity.observe(torch.full((2 * LEAST, 3, 120, 160), 0.55))
    assert not caplog.records
