"""Semantic field: what is composited, what is decoded, and how scales are chosen."""

from dataclasses import replace

import pytest
import torch

from ovs3d.field.samples import KeptSamples
from ovs3d.field.semantic import COLOUR_SCALE, SemanticField
from ovs3d.relevancy import relevancy, unit
from ovs3d.rendering import contract


def make_field(patch_dim: int = 5, scales: int = 3, sharpness: float = 1.0, **options: bool) -> SemanticField:
    torch.manual_seed(0)
    return SemanticField((8, 16), 4, 16, scales, 6, patch_dim, sharpness, **options)


def rays(count: int = 20, samples: int = 4) -> KeptSamples:
    generator = torch.Generator().manual_seed(1)
    points = contract(3.0 * torch.randn(count, samples, 3, generator=generator))
    weights = torch.rand(count, samples, generator=generator)
    colours = torch.rand(count, 3, generator=generator)
    return KeptSamples(points, weights / weights.sum(dim=-1, keepdim=True), colours)


def with_colour(latents: torch.Tensor, rays: KeptSamples) -> torch.Tensor:
    return torch.cat([latents, COLOUR_SCALE * (rays.colours - 0.5)], dim=-1)


@pytest.mark.parametrize(("prefers_finer", "votes"), [(True, [-1.0, 0.0, 1.0]), (False, [0.0, 0.0, 0.0])])
def test_scales_before_training(prefers_finer: bool, votes: list[float]) -> None:
    selection = make_field(prefers_finer=prefers_finer).render(rays()).selection
    expected = torch.softmax(torch.sigmoid(torch.tensor(votes)), dim=-1)
    torch.testing.assert_close(selection, expected.expand_as(selection))


def test_every_scale_counts_the_same_without_a_selection() -> None:
    field = make_field(selects=False, prefers_finer=True)
    torch.nn.init.normal_(field.selection_layer.weight)
    torch.testing.assert_close(field.render(rays()).selection, torch.full((20, 3), 1 / 3))


@pytest.mark.parametrize("sharpness", [1.0, 10.0])
def test_selection_is_the_softmax_of_composited_votes(sharpness: float) -> None:
    field = make_field(sharpness=sharpness)
    torch.nn.init.normal_(field.selection_layer.weight)
    seen = rays()
    selection = field.render(seen).selection
    assert selection.std() > 1e-3, "the votes must differ for this test to say anything"
    torch.testing.assert_close(selection.sum(dim=-1), torch.ones(20))
    for ray in range(20):
        votes = torch.sigmoid(field.selection_layer(field.selection_planes(seen.points[ray])))
        summed = (seen.weights[ray, :, None] * votes).sum(dim=0)
        torch.testing.assert_close(selection[ray], torch.softmax(sharpness * summed, dim=-1))


def test_one_heavy_sample_is_decoded_as_it_is() -> None:
    field = make_field()
    chosen = torch.randint(4, (20,), generator=torch.Generator().manual_seed(2))
    seen = replace(rays(), weights=torch.nn.functional.one_hot(chosen, 4).float())
    rendered = field.render(seen)
    latent = with_colour(field.latent(seen.points[torch.arange(20), chosen]), seen)
    torch.testing.assert_close(rendered.features, field.feature_head(latent))
    assert field.patch_head is not None and rendered.patch_features is not None
    torch.testing.assert_close(rendered.patch_features, field.patch_head(latent))


def test_latents_are_composited_before_they_are_decoded() -> None:
    field = make_field()
    seen = rays()
    latents = field.latent(seen.points.reshape(-1, 3)).reshape(20, 4, -1)
    expected = field.feature_head(with_colour((seen.weights[..., None] * latents).sum(dim=1), seen))
    torch.testing.assert_close(field.render(seen).features, expected)


def test_colour_alone_tells_places_apart() -> None:
    field = make_field()
    seen = rays()
    before, after = field.render(seen), field.render(replace(seen, colours=1.0 - seen.colours))
    assert (before.features - after.features).norm(dim=-1).min() > 1e-3
    torch.testing.assert_close(before.selection, after.selection)


def test_order_of_samples_does_not_matter() -> None:
    field = make_field()
    seen = rays()
    turned = replace(seen, points=seen.points.flip(1), weights=seen.weights.flip(1))
    torch.testing.assert_close(field.render(turned).features, field.render(seen).features)


def test_field_without_a_patch_encoder_has_no_such_head() -> None:
    field = make_field(patch_dim=0)
    assert field.render(rays()).patch_features is None
    assert not any("patch" in name for name in field.state_dict())


def test_words_are_compared_with_rays_as_with_their_features() -> None:
    field = make_field()
    text = unit(torch.randn(7, 6))
    hidden = field.hidden(rays())
    found = field.products(hidden, text) * field.inverse_lengths(hidden)
    expected = relevancy(field.render(rays()).features, text)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_ray_without_a_feature_is_relevant_to_nothing() -> None:
    field = make_field()
    for parameter in field.last_layer.parameters():
        torch.nn.init.zeros_(parameter)
    hidden = field.hidden(rays())
    assert (field.products(hidden, unit(torch.randn(2, 6))) * field.inverse_lengths(hidden)).eq(0).all()
