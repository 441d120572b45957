"""Scores against negatives."""

import torch

from ovs3d.query.score import rivals, score
from ovs3d.relevancy import against_negatives, unit


def test_mask_is_where_the_query_beats_every_negative() -> None:
    generator = torch.Generator().manual_seed(0)
    similarity = 2.0 * torch.rand(5, 6, generator=generator) - 1.0
    negatives = 2.0 * torch.rand(5, 6, 3, generator=generator) - 1.0
    scores, mask = score(similarity, negatives)
    assert torch.equal(mask, (similarity[..., None] > negatives).all(dim=-1)) and mask.any() and not mask.all()
    torch.testing.assert_close(scores, against_negatives(similarity[..., None], negatives)[..., 0])


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
