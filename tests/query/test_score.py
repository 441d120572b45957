"""Scores against negatives."""

from dataclasses import replace

import pytest
import torch

from ovs3d.query.calibration import Calibration
from ovs3d.query.score import Question, judge, rivals
from ovs3d.relevancy import against_negatives, unit


def question(others: int, calibration: Calibration | None = None) -> Question:
    vectors = torch.eye(others + 1)
    return Question("this", vectors[0], vectors[1:], torch.ones(others, dtype=torch.bool), calibration)


def test_mask_is_where_the_query_beats_every_negative() -> None:
    generator = torch.Generator().manual_seed(0)
    similarity = 2.0 * torch.rand(5, 6, generator=generator) - 1.0
    negatives = 2.0 * torch.rand(5, 6, 3, generator=generator) - 1.0
    judged = judge(question(3), similarity, negatives)
    assert torch.equal(judged.mask, (similarity[..., None] > negatives).all(dim=-1))
    assert judged.mask.any() and not judged.mask.all() and judged.confidence is None
    torch.testing.assert_close(judged.scores, against_negatives(similarity[..., None], negatives)[..., 0])


def test_others_that_are_no_negatives_do_not_count() -> None:
    asked = replace(question(2), negatives=torch.tensor([False, True]))
    assert judge(asked, torch.tensor([0.3]), torch.tensor([[0.9, 0.2]])).mask.item()


def test_a_feature_as_near_to_a_negative_as_to_the_query_is_not_found() -> None:
    judged = judge(question(2), torch.tensor([0.3]), torch.tensor([[0.3, -0.5]]))
    assert judged.scores.item() == 0.5 and not judged.mask.item()


def test_mask_follows_the_confidence_where_there_is_one() -> None:
    by_cosine = Calibration(((torch.tensor([[10.0, 0.0, 0.0, 0.0]]), torch.tensor([-4.0])),))
    judged = judge(question(1, by_cosine), torch.tensor([0.3, 0.5]), torch.tensor([[0.0], [0.9]]))
    assert judged.confidence is not None
    torch.testing.assert_close(judged.confidence, torch.sigmoid(torch.tensor([-1.0, 1.0])))
    assert judged.mask.tolist() == [False, True] and judged.scores[0] > 0.5 > judged.scores[1]


def test_what_is_nearer_to_a_named_negative_is_not_found_however_sure() -> None:
    sure = Calibration(((torch.zeros(1, 4), torch.tensor([3.0])),))
    similarity, to_others = torch.tensor([0.3, 0.3]), torch.tensor([[0.2], [0.4]])
    assert judge(question(1, sure), similarity, to_others).mask.tolist() == [True, True]
    judged = judge(replace(question(1, sure), strict=True), similarity, to_others)
    assert judged.confidence is not None and judged.confidence.tolist() == [pytest.approx(0.9526, abs=1e-4), 0.0]
    assert judged.mask.tolist() == [True, False]


def test_nearest_candidate_and_other_names_are_no_rivals() -> None:
    query = torch.tensor([1.0, 0.0])
    angles = torch.tensor([0.1, 0.2, 0.6, 1.5])  # cos 0.995, 0.980, 0.825, 0.071
    candidates = torch.stack([angles.cos(), angles.sin()], dim=-1)
    assert rivals(query, 3.0 * candidates).tolist() == [False, False, True, True]
    assert rivals(query, candidates[2:]).tolist() == [False, True]
    assert rivals(unit(candidates[3]), candidates[3:]).tolist() == [False]
