"""The model: what each stage may change, and what it renders."""

from typing import Any

import pytest
import torch
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.data.scene_box import SceneBox
from nerfstudio.utils import colormaps

from ovs3d.losses import coarseness
from ovs3d.model import OVS3DModel
from ovs3d.model_config import LossWeights, OVS3DModelConfig
from ovs3d.radiance_model import Surfaces

CLASSES = ("a", "b", "c")


def make_model(**settings: Any) -> OVS3DModel:
    """A model of a few cells with random fields."""
    torch.manual_seed(0)
    sizes = {
        "classes": CLASSES, "scales": 2, "feature_dim": 5, "patch_dim": 4, "geometry_steps": 10,
        "proposal_resolution": 8, "proposal_samples": 16, "field_samples": 8, "plane_resolutions": (8,),
        "plane_channels": 4, "hidden_dim": 16, "latent_resolutions": (8,), "latent_channels": 4, "head_dim": 8,
        "kept_samples": 4, "texture_resolutions": (16,), "texture_log2_size": 8,
    }  # fmt: skip
    config = OVS3DModelConfig(**{**sizes, **settings})
    model = OVS3DModel(config, scene_box=SceneBox(torch.tensor([[-1.0] * 3, [1.0] * 3])), num_train_data=1)
    torch.nn.init.normal_(model.proposal.grid)
    model.text.copy_(torch.nn.functional.normalize(torch.randn(len(config.classes), 5), dim=-1))
    return model


def make_rays(count: int = 12) -> RayBundle:
    generator = torch.Generator().manual_seed(1)
    directions = torch.nn.functional.normalize(torch.randn(count, 3, generator=generator), dim=-1)
    origins = 0.3 * torch.randn(count, 3, generator=generator)
    return RayBundle(origins=origins, directions=directions, pixel_area=torch.ones(count, 1))


def table_rows(count: int = 12, tokens: int = 4) -> tuple[RayBundle, dict[str, Any]]:
    """A batch of the semantic stage: `count` rows, the last eight of which are two patches of `tokens`."""
    generator = torch.Generator().manual_seed(2)

    def unit(*shape: int) -> torch.Tensor:
        return torch.nn.functional.normalize(torch.randn(*shape, generator=generator), dim=-1)

    points = 2.0 * torch.rand(count, 4, 3, generator=generator) - 1.0
    colours = torch.rand(count, 3, generator=generator)
    nothing = torch.zeros(count, 3)
    rays = RayBundle(origins=nothing, directions=nothing, pixel_area=nothing[:, :1])
    rays.metadata = {"points": points.flatten(1), "weights": torch.full((count, 4), 0.2), "colours": colours}
    batch = {
        "views": torch.zeros(count, dtype=torch.int64),
        "features": unit(count, 2, 5),
        "features_valid": torch.rand(count, 2, generator=generator) > 0.2,
        "patch_features": unit(count, 4),
        "patch_valid": torch.ones(count, dtype=torch.bool),
        "patch_tokens": tokens,
        "random_rays": count - 2 * tokens,
    }
    return rays, batch


def with_range(model: OVS3DModel) -> OVS3DModel:
    model.relevancy_range = torch.stack([torch.full((1, 2, 3), -1.0), torch.full((1, 2, 3), 1.0)])
    return model


def gradients(model: OVS3DModel) -> dict[str, bool]:
    """Group -> whether any of its parameters has got a gradient other than zero."""
    return {
        name: any(p.grad is not None and bool(p.grad.any()) for p in group)
        for name, group in model.get_param_groups().items()
    }


def test_semantic_losses_move_the_semantics_and_nothing_else() -> None:
    model = with_range(make_model()).train()
    torch.nn.init.normal_(model.semantic.selection_layer.weight)
    rays, batch = table_rows()
    losses = model.get_loss_dict(model(rays), batch)
    assert set(losses) == {"feature", "rda", "selection", "patch_feature", "fda_positive", "fda_negative"}
    assert all(bool(value.isfinite()) for value in losses.values())
    sum(losses.values(), torch.zeros(())).backward()
    assert gradients(model) == {
        "proposal": False, "planes": False, "texture": False, "networks": False,
        "semantic_planes": True, "semantic_heads": True,
    }  # fmt: skip
    # Not even a gradient of zero: an optimizer would still move a parameter by its running average.
    assert all(p.grad is None for part in (model.proposal, model.radiance) for p in part.parameters())
    assert model.semantic.selection_layer.weight.grad is not None


def test_geometry_losses_move_the_geometry_and_nothing_else() -> None:
    model = make_model().train()
    losses = model.get_loss_dict(model(make_rays()), {"image": torch.rand(12, 3)})
    assert set(losses) == {"rgb", "interlevel", "distortion"}
    sum(losses.values(), torch.zeros(())).backward()
    assert gradients(model) == {
        "proposal": True, "planes": True, "texture": True, "networks": True,
        "semantic_planes": False, "semantic_heads": False,
    }  # fmt: skip


def test_known_distances_add_a_loss_that_fades_out() -> None:
    model = make_model().train()
    model.config.geometry_steps, model.config.distance_part = 100, 0.4
    batch = {"image": torch.rand(12, 3), "distance": torch.full((12,), 1.0)}
    values = []
    for step in (0, 20, 40):
        model.set_step(step)
        torch.manual_seed(0)
        values.append(model.distance_weight)
        loss = model.get_loss_dict(model(make_rays()), batch)["distance"]
        assert loss.isfinite() and bool(loss > 0.0) == (step < 40)
    assert values == pytest.approx([0.02, 0.01, 0.0])
    model.set_step(0)
    model.get_loss_dict(model(make_rays()), batch)["distance"].backward()
    assert gradients(model)["proposal"] and gradients(model)["planes"] and not gradients(model)["semantic_planes"]


def test_coarse_selections_cost_something() -> None:
    model = with_range(make_model())
    rays, batch = table_rows()
    outputs = model(rays)
    loss = model.get_loss_dict(outputs, batch)["selection"]
    assert loss > 0.0
    expected = 0.05 * coarseness(outputs["semantics"].selection, batch["features_valid"].all(dim=-1))
    torch.testing.assert_close(loss, expected)


def test_scales_begin_alike_where_finer_ones_are_not_preferred() -> None:
    rays, batch = table_rows()
    shares = [
        list(model.get_metrics_dict(model(rays), batch).values())
        for model in (make_model(), make_model(loss_weights=LossWeights(selection=0.0)))
    ]
    assert shares[0][0] < shares[0][-1]
    torch.testing.assert_close(shares[1], [torch.tensor(1.0 / len(shares[1]))] * len(shares[1]))


@pytest.mark.parametrize("weight", ["feature", "rda", "selection", "patch_feature", "fda_positive", "fda_negative"])
def test_weight_of_a_loss_is_its_factor(weight: str) -> None:
    model = with_range(make_model(fda_pairs=2000))
    rays, batch = table_rows()
    torch.manual_seed(3)
    before = model.get_loss_dict(model(rays), batch)
    setattr(model.config.loss_weights, weight, 7.0 * getattr(model.config.loss_weights, weight))
    torch.manual_seed(3)
    after = model.get_loss_dict(model(rays), batch)
    for name in before:
        torch.testing.assert_close(after[name], (7.0 if name == weight else 1.0) * before[name])


def test_run_without_patch_encoder_has_text_losses_alone() -> None:
    model = with_range(make_model(patch_dim=0))
    rays, batch = table_rows()
    assert set(model.get_loss_dict(model(rays), batch)) == {"feature", "rda", "selection"}


def test_selection_can_be_switched_off() -> None:
    model = with_range(make_model(selection=False)).train()
    torch.nn.init.normal_(model.semantic.selection_layer.weight)
    rays, batch = table_rows()
    losses = model.get_loss_dict(model(rays), batch)
    assert "selection" not in losses
    (losses["feature"] + losses["rda"]).backward()
    gradient = model.semantic.selection_layer.weight.grad
    assert gradient is None or not gradient.any()
    shares = torch.stack(list(model.get_metrics_dict(model(rays), batch).values()))
    torch.testing.assert_close(shares, torch.full_like(shares, 1.0 / len(shares)))


def test_rays_without_any_valid_scale_count_for_nothing() -> None:
    model = with_range(make_model(patch_dim=0))
    rays, batch = table_rows()
    batch["features_valid"][3] = False
    before = model.get_loss_dict(model(rays), batch)
    batch["features"][3] = torch.nan
    after = model.get_loss_dict(model(rays), batch)
    torch.testing.assert_close(after, before)


def test_evaluation_is_deterministic_and_in_range() -> None:
    model = make_model().eval()
    model.step = 10
    model.extra_outputs = ("class_scores",)
    first, second = model(make_rays()), model(make_rays())
    assert set(first) == {"rgb", "accumulation", "depth", "segmentation", "class_id", "class_scores"}
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert first["accumulation"].min() >= 0.0 and first["accumulation"].max() <= 1.0 + 1e-5
    assert (first["depth"] >= model.config.near).all() and (first["depth"] <= model.config.far).all()
    assert torch.equal(first["class_scores"].argmax(dim=-1), first["class_id"][:, 0].long())
    assert torch.equal(model.colours[first["class_id"][:, 0].long()], first["segmentation"])


@pytest.mark.parametrize("classes", [("a", "b"), CLASSES])
def test_host_can_show_every_output(classes: tuple[str, ...]) -> None:
    model = make_model(classes=classes).eval()
    model.step = 10
    outputs = model(make_rays())
    assert "segmentation" in outputs
    for name, output in outputs.items():
        picture = colormaps.apply_colormap(output[None])  # One row of pixels.
        assert picture.shape == (1, 12, 3) and 0.0 <= picture.min() and picture.max() <= 1.0, name


def test_semantics_are_shown_from_their_stage_on() -> None:
    model = make_model().eval()
    model.step = 9
    assert "segmentation" not in model(make_rays())
    model.update_to_step(9)  # The checkpoint written after step 9 stands at the border.
    assert model.in_semantics and "segmentation" in model(make_rays())


def test_empty_space_is_grey_and_its_rgba_transparent() -> None:
    model = make_model().eval()
    with torch.no_grad():
        model.radiance.geometry[-1].weight.zero_()  # pyright: ignore
        model.radiance.geometry[-1].bias.fill_(-30.0)  # pyright: ignore
    outputs = model(make_rays())
    torch.testing.assert_close(outputs["rgb"], torch.full((12, 3), 0.5), atol=1e-4, rtol=0.0)
    assert model.get_rgba_image(outputs)[:, 3].max() < 1e-4


def test_rgba_takes_the_grey_away() -> None:
    model = make_model()
    colour, opacity = torch.tensor([[0.9, 0.1, 0.4]]), torch.tensor([[0.25]])
    outputs = {"rgb": opacity * colour + 0.5 * (1 - opacity), "accumulation": opacity, "segmentation": colour}
    torch.testing.assert_close(model.get_rgba_image(outputs), torch.cat([colour, opacity], dim=-1))
    torch.testing.assert_close(model.get_rgba_image(outputs, "segmentation"), torch.cat([colour, opacity], dim=-1))


@pytest.mark.parametrize("coloured", [12, 2], ids=["among the coloured", "more than the coloured"])
def test_samples_of_the_table_render_as_the_view_does(coloured: int) -> None:
    model = make_model(coloured_samples=coloured).eval()
    model.step = 10
    model.extra_outputs = ("class_scores",)
    rays = make_rays()
    samples = model.heaviest(rays)
    assert samples.points.shape == (12, 4, 3) and samples.points.abs().max() <= 1.0
    semantics = model.semantic.render(samples)
    scores = torch.nn.functional.cosine_similarity(semantics.features[:, None], model.text[None], dim=-1)
    torch.testing.assert_close(scores, model(rays)["class_scores"], atol=1e-5, rtol=1e-4)


def test_place_says_what_a_ray_that_ends_there_says() -> None:
    model = make_model().eval()
    with torch.no_grad():
        model.radiance.geometry[-1].bias[0] = 40.0  # pyright: ignore
    samples = model.heaviest(make_rays())
    assert samples.weights.amax(dim=-1).min() > 0.999, "one sample hides the others"
    ends = samples.points[torch.arange(12), samples.weights.argmax(dim=-1)]
    inside = ends.abs().amax(dim=-1) < 0.5  # Where contraction is a scaling by half.
    assert inside.sum() > 6
    found = model.hidden_at(2.0 * ends[inside])
    torch.testing.assert_close(found, model.semantic.hidden(samples)[inside], atol=1e-4, rtol=1e-3)


def test_ray_has_the_colour_of_its_mean_surface_whatever_its_opacity() -> None:
    model = make_model()
    points, surfaces, weights = torch.rand(5, 3, 3), torch.randn(5, 3, 16), torch.rand(5, 3)
    means = [(weights[ray, :, None] * surfaces[ray]).sum(dim=0) / weights[ray].sum() for ray in range(5)]
    expected = model.radiance.colour_from_everywhere(torch.stack(means))
    for opacity in (1.0, 0.1):
        seen = model.as_seen(Surfaces(points, surfaces, opacity * weights))
        torch.testing.assert_close(seen.colours, expected)


def test_state_holds_the_texts_and_no_encoder() -> None:
    state = make_model().state_dict()
    assert "text" in state and "colours" not in state
    assert {name.split(".")[0] for name in state} <= {
        "text", "proposal", "radiance", "semantic", "device_indicator_param",
    }  # fmt: skip


def test_colour_of_the_heaviest_samples_nears_that_of_all_as_they_become_more() -> None:
    def render(count: int) -> torch.Tensor:
        model = make_model(coloured_samples=count).eval()
        return model(make_rays())["rgb"]

    every = render(8)
    torch.testing.assert_close(render(20), every)  # More than there are is all of them.
    errors = [(render(count) - every).abs().mean().item() for count in (1, 3, 6)]
    assert errors[0] > errors[1] > errors[2] > 0.0


def test_rays_end_at_a_crop_box() -> None:
    model, rays = make_model().eval(), make_rays()
    model.set_step(10)
    whole = model.get_outputs(rays)
    rays.nears, rays.fars = torch.zeros(len(rays), 1), torch.full((len(rays), 1), 1e4)
    torch.testing.assert_close(model.get_outputs(rays), whole)
    rays.nears[:6], rays.fars[:6] = 1e10, 1e10  # So the host marks rays that miss the box.
    cropped = model.get_outputs(rays)
    assert not cropped["accumulation"][:6].any()
    for name in ("rgb", "segmentation"):
        assert (cropped[name][:6] == 0.5).all()
        torch.testing.assert_close(cropped[name][6:], whole[name][6:])
    rays.nears[6:], rays.fars[6:] = 1.0, 2.0
    near = model.get_outputs(rays)
    assert (near["accumulation"][6:] < whole["accumulation"][6:]).all()
    assert ((near["depth"][6:] > 0.9) & (near["depth"][6:] < 2.2)).all()
