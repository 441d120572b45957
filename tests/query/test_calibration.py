"""Probabilities of words."""

import json
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from ovs3d.query import calibration
from ovs3d.query.calibration import Calibration, gather_evidence, load_calibration
from ovs3d.spaces import load_encoder


def test_evidence_is_taken_against_the_best_other_word() -> None:
    similarity = torch.tensor([0.5, 0.1])
    to_others = torch.tensor([[0.3, 0.6], [0.4, 0.2]])
    evidence = gather_evidence(similarity, to_others, torch.tensor([0.0, 0.8]))
    torch.testing.assert_close(evidence[:, :2], torch.tensor([[0.5, 0.6], [0.1, 0.4]]))
    torch.testing.assert_close(evidence[:, 2], torch.tensor([0.4, 2.0]).sqrt())
    torch.testing.assert_close(evidence[:, 3], torch.tensor([(0.5 - 0.48) / 0.4**0.5, 0.1 / 2**0.5]))


def test_distance_is_that_of_the_texts_and_a_synonym_has_none() -> None:
    word = torch.nn.functional.normalize(torch.randn(8, generator=torch.Generator().manual_seed(0)), dim=0)
    other = torch.nn.functional.normalize(torch.randn(8, generator=torch.Generator().manual_seed(1)), dim=0)
    both = torch.stack([other, word])
    evidence = gather_evidence(torch.zeros(2), torch.eye(2), both @ word)
    assert evidence[0, 2].item() == pytest.approx((word - other).norm().item(), abs=1e-5)
    assert evidence[1, 2].item() == pytest.approx(0.0, abs=1e-3) and torch.isfinite(evidence).all()


def test_network_is_one_of_tanh_layers() -> None:
    generator = torch.Generator().manual_seed(0)
    sizes = (4, 5, 1)
    layers = tuple(
        (torch.randn(b, a, generator=generator), torch.randn(b, generator=generator)) for a, b in pairwise(sizes)
    )
    evidence = torch.rand(3, 7, 4, generator=generator)
    (first, shift), (last, bias) = layers
    expected = 1.0 / (1.0 + torch.exp(-(torch.tanh(evidence @ first.T + shift) @ last[0] + bias)))
    torch.testing.assert_close(Calibration(layers)(evidence), expected)


def test_a_space_without_a_calibration_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_calibration("open_clip/ViT-B-16/openai") is None
    stored = {"space": "here", "layers": [{"weight": [[1.0, 0.0, 0.0, 0.0]], "bias": [0.0]}]}
    (tmp_path / "here-calibration.json").write_text(json.dumps(stored))
    monkeypatch.setattr(calibration, "ASSETS", tmp_path)
    load_calibration.cache_clear()
    found = load_calibration("here")
    load_calibration.cache_clear()
    assert found is not None and found(torch.zeros(2, 4)).tolist() == [0.5, 0.5]


def test_bundled_encoder_has_one_that_tells_a_match_from_a_miss() -> None:
    found = load_calibration(load_encoder("tiny-clip").space)
    assert found is not None
    match = torch.tensor([0.65, 0.65, 0.02, 0.05])  # A synonym of the best word, where the best word fits.
    miss = torch.tensor([0.05, 0.65, 1.2, 0.0])
    assert found(match) > 0.7 and found(miss) < 0.1
