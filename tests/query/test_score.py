"""Scores against negatives."""

import math

import pytest
import torch

from ovs3d.query.score import TEMPERATURE, rivals, score
from ovs3d.relevancy import unit


def test_score_is_the_least_softmax_over_the_negatives() -> None:
    generator = torch.Generator().manual_seed(0)
    similarity = 2.0 * torch.rand(5, 6, generator=generator) - 1.0
    negatives = 2.0 * torch.rand(5, 6, 3, generator=generator) - 1.0
    scores, mask = score(similarity, negatives)
    for row in range(5):
        for column in range(6):
            own = math.exp(similarity[row, column] / TEMPERATURE)
            others = [math.exp(value / TEMPERATURE) for value in negatives[row, column].tolist()]
            assert scores[row, column] == pytest.approx(min(own / (own + other) for other in others), abs=1e-5)
    assert torch.equal(mask, scores > 0.5) and mask.any() and not mask.all()


def test_a_feature_as_near_to_a_negative_as_to_the_query_is_not_found() -> None:
    scores, mask = score(torch.tensor([0.3]), torch.tensor([[0.3, -0.5]]))
    assert scores.item() == 0.5 and not mask.item()


def test_nearest_candidate_and_other_names_are_no_rivals() -> None:
    query = torch.tensor([1.0, 0.0])
    angles = torch.tensor([0.1, 0.2, 0.6, 1.5])  # cos 0.995, 0.980, 0.825, 0.071
    candidates = torch.stack([angles.cos(), angles.sin()], dim=-1)
    assert rivals(query, 3.0 * candidates).tolist() == [False, False, True, True]
    assert rivals(query, candidates[2:]).tolist() == [False, True]
    assert rivals(unit(candidates[3]), candidates[3:]).tolist() == [False]
