import pytest
import torch

from ovs3d.relevancy import (
    LERF_SHARPNESS,
    RelevancyRange,
    against_negatives,
    balanced_range,
    normalise_relevancy,
    relevancy,
    select_features,
    selected_relevancy,
    unit,
)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_unit_of_zero_is_zero_with_zero_gradient():
    vectors = torch.zeros(2, 3, requires_grad=True)
    unit(vectors).sum().backward()
    assert torch.equal(unit(vectors), torch.zeros(2, 3))
    assert vectors.grad is not None and torch.equal(vectors.grad, torch.zeros(2, 3))


def test_unit_gradcheck(generator):
    vectors = torch.randn(4, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(unit, (vectors,))


def test_relevancy_by_hand():
    features = torch.tensor([[2.0, 0.0], [0.0, -3.0], [1.0, 1.0], [0.0, 0.0]])
    text = torch.tensor([[5.0, 0.0], [0.0, 0.1]])
    half = 0.5**0.5
    torch.testing.assert_close(
        relevancy(features, text), torch.tensor([[1.0, 0.0], [0.0, -1.0], [half, half], [0.0, 0.0]])
    )


def test_relevancy_keeps_leading_axes_and_follows_a_permutation_of_classes(generator):
    features, text = torch.randn(2, 3, 4, 8, generator=generator), torch.randn(5, 8, generator=generator)
    order = torch.tensor([3, 0, 4, 2, 1])
    result = relevancy(features, text)
    assert result.shape == (2, 3, 4, 5)
    torch.testing.assert_close(relevancy(features, text[order]), result[..., order])
    torch.testing.assert_close(relevancy(features * 7.0, text * 0.2), result)
    torch.testing.assert_close(result[1, 2, 3, 4], torch.cosine_similarity(features[1, 2, 3], text[4], dim=0))


def test_relevancy_is_float32_under_autocast_and_for_half_precision(generator):
    features, text = torch.randn(64, 32, generator=generator), torch.randn(5, 32, generator=generator)
    plain = relevancy(features, text)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        under_autocast = relevancy(features, text=text)
    assert under_autocast.dtype == torch.float32
    assert torch.equal(under_autocast, plain)
    assert relevancy(features.bfloat16(), text.half()).dtype == torch.float32


def test_normalise_relevancy_by_hand():
    low, high = torch.tensor([[0.1, 0.3]]), torch.tensor([[0.5, 0.3]])
    values = torch.tensor([[[0.2, 0.3]], [[0.5, 0.9]], [[0.0, 0.0]], [[0.8, 0.3]]])
    # Class 0: (0.2 - 0.1) / 0.4, and so on. Class 1 has a closed range.
    expected = torch.tensor([[[0.25, 0.0]], [[1.0, 0.0]], [[-0.25, 0.0]], [[1.75, 0.0]]])
    torch.testing.assert_close(normalise_relevancy(values, low, high), expected)


def test_normalise_relevancy_gradient_is_finite_where_the_range_is_closed():
    values = torch.full((1, 1, 1), 0.3, requires_grad=True)
    bound = torch.full((1, 1), 0.3)
    normalise_relevancy(values, bound, bound).sum().backward()
    assert values.grad is not None and torch.equal(values.grad, torch.zeros(1, 1, 1))


def test_range_over_views_equals_range_over_all_cells(generator):
    views = [torch.randn(cells, 2, 3, generator=generator) for cells in (7, 1, 0, 20)]
    masks = [torch.rand(view.shape[:2], generator=generator) > 0.3 for view in views]
    gathered = RelevancyRange(scales=2, classes=3)
    for view, mask in zip(views, masks, strict=True):
        view[~mask] = torch.nan
        gathered.update(view, mask)
    everything, every_mask = torch.cat(views), torch.cat(masks)
    for scale in range(2):
        kept = everything[every_mask[:, scale], scale]
        torch.testing.assert_close(gathered.low[scale], kept.amin(dim=0))
        torch.testing.assert_close(gathered.high[scale], kept.amax(dim=0))
        assert normalise_relevancy(everything, gathered.low, gathered.high)[every_mask].max() == 1.0


def loop_middle(values, rounds):
    """The middle of every class from the definition, cell by cell, for one scale."""
    count = values.shape[1]
    middle = torch.full((count,), 0.5)
    for _ in range(rounds):
        of_class = [[] for _ in range(count)]
        for cell in values:
            of_class[int((cell - middle).argmax())].append(cell)
        there = [cells for cells in of_class if cells]
        roots = [len(cells) ** 0.5 for cells in there]
        means = [torch.stack(cells).mean(dim=0) for cells in there]
        middle = sum(root * mean for root, mean in zip(roots, means, strict=True)) / sum(roots)
    return middle


def test_balanced_range_has_its_middle_where_classes_meet(generator):
    values = torch.rand(200, 1, 4, generator=generator)
    values[:, 0, 3] *= 0.1  # Best nowhere.
    values = values / values.amax(dim=0)
    values[0] = 0.0  # So that the range is [0, 1].
    low, high = balanced_range(values, torch.zeros(1, 4), torch.ones(1, 4))
    torch.testing.assert_close(high - low, torch.ones(1, 4))
    torch.testing.assert_close((low + high)[0] / 2, loop_middle(values[:, 0], 5))
    nothing = balanced_range(values[:0], torch.zeros(1, 4), torch.ones(1, 4))
    assert torch.equal(nothing[0], torch.zeros(1, 4)) and torch.equal(nothing[1], torch.ones(1, 4))


def test_balanced_range_forgives_a_word_that_is_near_to_everything(generator):
    """One class scores higher wherever it is not, so that the plain range gives it what it is not."""
    classes = torch.arange(900) % 3
    values = 0.2 * torch.nn.functional.one_hot(classes, 3) + 0.02 * torch.randn(900, 3, generator=generator)
    values[:, 0] = torch.where(classes == 0, values[:, 0], values[:, 0] + 0.18)
    values = torch.cat([values, torch.zeros(1, 3)])[:, None]  # One odd cell opens the range downwards.
    low, high = values.amin(dim=0), values.amax(dim=0)
    plain = normalise_relevancy(values, low, high)[:900, 0].argmax(dim=-1)
    balanced = normalise_relevancy(values, *balanced_range(values, low, high))[:900, 0].argmax(dim=-1)
    assert (plain == classes).float().mean() < 0.95 < 0.99 < (balanced == classes).float().mean()


def test_balanced_range_is_blind_to_offset_and_scale_of_a_class(generator):
    values = torch.rand(100, 2, 3, generator=generator)
    moved = torch.tensor([0.3, -0.1, 0.0]) + torch.tensor([0.5, 2.0, 1.0]) * values
    first, second = (
        normalise_relevancy(each, *balanced_range(each, each.amin(dim=0), each.amax(dim=0))) for each in (values, moved)
    )
    torch.testing.assert_close(first, second, atol=1e-5, rtol=0.0)


def test_balanced_range_of_a_closed_range_is_closed():
    values = torch.full((5, 1, 2), 0.3)
    low, high = balanced_range(values, values[0], values[0])
    assert torch.equal(low, values[0]) and torch.equal(high, values[0])


def test_range_of_a_scale_never_seen_is_closed():
    gathered = RelevancyRange(scales=2, classes=1)
    gathered.update(torch.tensor([[[0.2], [9.0]]]), torch.tensor([[True, False]]))
    assert gathered.low.flatten().tolist() == pytest.approx([0.2, 0.0])
    assert gathered.high.flatten().tolist() == pytest.approx([0.2, 0.0])


def test_one_hot_selection_picks_its_level(generator):
    features = unit(torch.randn(3, 3, 6, generator=generator))
    valid = torch.ones(3, 3, dtype=torch.bool)
    torch.testing.assert_close(select_features(features, torch.eye(3), valid), features[range(3), range(3)])
    normalised = torch.rand(3, 3, 4, generator=generator)
    torch.testing.assert_close(selected_relevancy(normalised, torch.eye(3), valid), normalised[range(3), range(3)])


def test_selection_equals_a_loop_over_rays(generator):
    rays, scales, classes, dim = 20, 3, 4, 6
    features = unit(torch.randn(rays, scales, dim, generator=generator))
    normalised = torch.rand(rays, scales, classes, generator=generator)
    selection = torch.rand(rays, scales, generator=generator).softmax(dim=-1)
    valid = torch.rand(rays, scales, generator=generator) > 0.4
    valid[0] = False
    some_feature, some_relevancy = torch.zeros(rays, dim), torch.zeros(rays, classes)
    for ray in range(rays):
        total = sum(selection[ray, s].item() for s in range(scales) if valid[ray, s])
        for s in range(scales):
            if valid[ray, s]:
                some_feature[ray] += selection[ray, s] / total * features[ray, s]
                some_relevancy[ray] += selection[ray, s] / total * normalised[ray, s]
        if total > 0:
            some_feature[ray] /= some_feature[ray].norm()
    # What is not valid must not matter, even where it is not a number.
    features[~valid] = torch.nan
    normalised[~valid] = torch.nan
    torch.testing.assert_close(select_features(features, selection, valid), some_feature)
    torch.testing.assert_close(selected_relevancy(normalised, selection, valid), some_relevancy)
    assert (selected_relevancy(normalised, selection, valid)[0] == 0).all()


def test_selection_receives_gradient_and_gradcheck(generator):
    double = {"generator": generator, "dtype": torch.float64}
    features = torch.randn(4, 3, 5, **double)
    normalised = torch.rand(4, 3, 2, **double)
    selection = torch.rand(4, 3, **double).add(0.1).requires_grad_()
    valid = torch.tensor([[True, True, True], [True, False, True], [False, True, False], [False, False, False]])
    assert torch.autograd.gradcheck(lambda chosen: select_features(features, chosen, valid), (selection,))
    assert torch.autograd.gradcheck(lambda chosen: selected_relevancy(normalised, chosen, valid), (selection,))
    select_features(features, selection, valid)[:, 0].sum().backward()
    assert selection.grad is not None
    assert (selection.grad[0].abs() > 1e-6).all()
    assert torch.equal(selection.grad[3], torch.zeros(3, dtype=torch.float64))


def test_against_negatives_is_the_least_pairwise_softmax() -> None:
    generator = torch.Generator().manual_seed(0)
    queries, negatives = (2 * torch.rand(3, 4, n, generator=generator) - 1 for n in (2, 4))
    found = against_negatives(queries, negatives)
    for query in range(2):
        pairs = torch.stack([queries[..., query, None].expand(3, 4, 4), negatives], dim=-1)
        expected = torch.softmax(LERF_SHARPNESS * pairs, dim=-1)[..., 0].amin(dim=-1)
        torch.testing.assert_close(found[..., query], expected)
