"""The second backbone, on a stand-in of the package that it needs."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn

from ovs3d.errors import UserError
from ovs3d.field.backbones import TcnnGrid, build_storage, check_backbone
from ovs3d.field.hashgrid import HashGrid
from ovs3d.field.planes import Planes
from ovs3d.field.radiance import RadianceField
from tests.test_model import make_model, make_rays

SIDE = 6
"""Grid points along a side of the stand-in's levels, whatever was asked for."""


class Encoding(nn.Module):
    """What the wrapper uses of `tinycudann.Encoding`: dense levels, in half precision unless told otherwise."""

    def __init__(
        self, n_input_dims: int, encoding_config: dict[str, Any], seed: int = 1337, dtype: torch.dtype | None = None
    ) -> None:
        super().__init__()
        assert n_input_dims == 3 and encoding_config["n_features_per_level"] in (1, 2, 4, 8)
        self.config, self.dtype = encoding_config, torch.half if dtype is None else dtype
        self.n_output_dims = encoding_config["n_levels"] * encoding_config["n_features_per_level"]
        self.params = nn.Parameter(torch.full((self.n_output_dims * SIDE**3,), 1e-4))
        self.seen = torch.empty(0, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen = x.detach()
        grid = self.params.to(self.dtype).view(1, -1, SIDE, SIDE, SIDE)
        where = (2.0 * x - 1.0).to(self.dtype)[None, None, None]
        return nn.functional.grid_sample(grid, where, align_corners=True)[0, :, 0, 0].T


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with CUDA and the package, as far as the wrapper can tell."""
    module = ModuleType("tinycudann")
    module.Encoding = Encoding  # pyright: ignore[reportAttributeAccessIssue]
    monkeypatch.setitem(sys.modules, "tinycudann", module)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)


def settings(grid: nn.Module) -> dict[str, Any]:
    assert isinstance(grid, TcnnGrid) and isinstance(grid.encoding, Encoding)
    return grid.encoding.config


def cells(n: int) -> torch.Tensor:
    return 2.0 * torch.rand(n, 3, generator=torch.Generator().manual_seed(0)) - 1.0


def test_planes_are_built_of_plain_modules() -> None:
    shared, texture = build_storage("planes", (4, 8), 6, (8, 16), 7)
    assert isinstance(shared, Planes) and isinstance(texture, HashGrid)
    assert [grid.shape[1] for grid in shared.grids] == [4, 8] and texture.resolutions == (8, 16)


@pytest.mark.parametrize(("resolutions", "channels"), [((32, 64, 256), 16), ((8,), 4), ((8, 16, 32), 2)])
def test_a_grid_gives_as_many_single_precision_numbers_as_planes_do(
    stand_in: None, resolutions: tuple[int, ...], channels: int
) -> None:
    shared, texture = build_storage("tcnn", resolutions, channels, (16, 32), 8)
    features = shared(cells(7))
    assert features.dtype == torch.float32
    assert features.shape == (7, shared.dim) == (7, Planes(resolutions, channels).dim)
    assert texture(cells(7)).shape == (7, texture.dim) == (7, HashGrid((16, 32), 4, 8).dim)


def test_levels_of_the_texture_are_the_resolutions_asked_for(stand_in: None) -> None:
    resolutions = (256, 512, 1024, 2048)
    config = settings(build_storage("tcnn", (32,), 4, resolutions, 20)[1])
    assert config["n_levels"] == 4 and config["log2_hashmap_size"] == 20
    levels = [config["base_resolution"] * config["per_level_scale"] ** level for level in range(4)]
    assert levels == pytest.approx(resolutions)


def test_levels_of_the_shared_grid_run_from_coarsest_to_finest(stand_in: None) -> None:
    config = settings(build_storage("tcnn", (32, 64, 256), 16, (16,), 8)[0])
    assert config["base_resolution"] == 32
    assert 32 * config["per_level_scale"] ** (config["n_levels"] - 1) == pytest.approx(256)


def test_one_resolution_is_that_of_every_level(stand_in: None) -> None:
    config = settings(TcnnGrid((48,), 16, 10))
    assert (config["base_resolution"], config["per_level_scale"], config["n_levels"]) == (48, 1.0, 4)


@pytest.mark.parametrize("resolutions", [(32, 64, 256), (64, 128), (16,)])
def test_a_level_has_as_many_entries_as_planes_have_and_less_than_twice(
    stand_in: None, resolutions: tuple[int, ...]
) -> None:
    planes = Planes(resolutions, 8)
    entries = sum(grid.numel() for grid in planes.grids) / planes.dim  # Per number that a look-up gives.
    size = 1 << settings(build_storage("tcnn", resolutions, 8, (16,), 8)[0])["log2_hashmap_size"]
    assert entries <= size <= 2 * entries


def test_the_cube_arrives_as_the_unit_cube_and_its_border_is_repeated(stand_in: None) -> None:
    grid = TcnnGrid((8, 16), 4, 10)
    grid(torch.tensor([[-1.0, 0.0, 1.0], [-3.0, 0.5, 1.5]]))
    assert isinstance(grid.encoding, Encoding)
    assert grid.encoding.seen.tolist() == [[0.0, 0.5, 1.0], [0.0, 0.75, 1.0]]


def test_a_gradient_too_small_for_half_precision_reaches_the_entries(stand_in: None) -> None:
    grid = TcnnGrid((8, 16), 4, 10)
    (1e-9 * grid(cells(50)).sum()).backward()
    gradient = grid.encoding.params.grad
    assert gradient is not None and gradient.sum().item() == pytest.approx(50 * grid.dim * 1e-9, rel=1e-4)


def test_entries_start_from_the_seed_of_the_run(stand_in: None) -> None:
    first, second, third = (torch.manual_seed(seed) and TcnnGrid((8,), 4, 10).encoding.params for seed in (0, 0, 1))
    assert torch.equal(first, second) and not torch.equal(first, third)
    assert 0.5e-2 < first.abs().max() <= 1e-2


def test_each_storage_has_its_own_optimizer(stand_in: None) -> None:
    model = make_model(backbone="tcnn")
    groups, radiance = model.get_param_groups(), model.radiance
    assert [id(p) for p in groups["planes"]] == [id(radiance.planes.encoding.params)]  # pyright: ignore
    assert [id(p) for p in groups["texture"]] == [id(radiance.texture.encoding.params)]  # pyright: ignore


def test_training_on_the_grid_learns_what_only_places_tell(stand_in: None, monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_model(backbone="tcnn").train()
    monkeypatch.undo()  # The optimizer, too, would ask for CUDA.
    rays = make_rays(64)
    rays.directions = torch.tensor([0.0, 0.0, 1.0]).expand(64, 3)  # Equal, so that they tell nothing.
    image = (rays.origins > 0.0).float()
    optimizer, history = torch.optim.Adam(model.radiance.parameters(), lr=0.03), []
    for _ in range(60):
        loss = model.get_loss_dict(model(rays), {"image": image})["rgb"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.append(loss.item())
    best_constant = image.var(dim=0, correction=0).mean()
    assert history[-1] < 0.5 * best_constant.item()


def test_state_is_loaded_safely_and_renders_the_same(stand_in: None, tmp_path: Path) -> None:
    model, other = make_model(backbone="tcnn").eval(), make_model(backbone="tcnn").eval()
    for part in (model.radiance.planes, model.radiance.texture):
        torch.nn.init.normal_(part.encoding.params)  # pyright: ignore
    torch.save(model.state_dict(), tmp_path / "state.ckpt")
    assert not torch.allclose(other(make_rays())["rgb"], model(make_rays())["rgb"])
    other.load_state_dict(torch.load(tmp_path / "state.ckpt", weights_only=True))
    torch.testing.assert_close(other(make_rays())["rgb"], model(make_rays())["rgb"])


def test_without_the_package_the_sentence_names_both_mends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setitem(sys.modules, "tinycudann", None)  # An import of it fails, installed or not.
    with pytest.raises(UserError, match=r"pip install .*tiny-cuda-nn.*--pipeline\.model\.backbone planes"):
        check_backbone("tcnn", "cuda")


def test_without_cuda_no_field_is_built(stand_in: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match=r"needs a CUDA device.*--pipeline\.model\.backbone planes"):
        RadianceField((8,), 4, (8,), 8, 16, backbone="tcnn")


def test_another_device_than_cuda_is_refused(stand_in: None) -> None:
    check_backbone("tcnn", "cuda")
    check_backbone("planes", "cpu")
    with pytest.raises(UserError, match=r"cpu.*--pipeline\.model\.backbone planes"):
        check_backbone("tcnn", "cpu")
