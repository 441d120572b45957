"""The compiled plane sweep scores as PyTorch does."""

import pytest
import torch

from ovs3d import plane_sweep
from ovs3d.native.library import find_compiler
from ovs3d.plane_sweep import PosedViews

pytestmark = pytest.mark.skipif(find_compiler() is None, reason="no C compiler")

HEIGHT, WIDTH, VIEWS = 23, 31, 6


def make_views(distortion: float) -> PosedViews:
    """Noise seen by cameras around the origin, some of which look away from the others."""
    generator = torch.Generator().manual_seed(0)
    y, x = torch.meshgrid(torch.arange(HEIGHT) + 0.5, torch.arange(WIDTH) + 0.5, indexing="ij")
    local = torch.stack([(x - WIDTH / 2) / 20.0, -(y - HEIGHT / 2) / 20.0, -torch.ones_like(x)], dim=-1)
    turns = 0.4 * torch.randn(VIEWS, 3, 3, generator=generator)
    rotations = torch.matrix_exp(turns - turns.transpose(1, 2))
    rotations[-1] = rotations[-1] @ torch.diag(torch.tensor([-1.0, 1.0, -1.0]))
    directions = torch.einsum("hwc,vdc->vhwd", local, rotations)
    return PosedViews(
        grey=torch.rand(VIEWS, HEIGHT, WIDTH, generator=generator),
        directions=directions / directions.norm(dim=-1, keepdim=True),
        poses=torch.cat([rotations, 0.3 * torch.randn(VIEWS, 3, 1, generator=generator)], dim=-1),
        intrinsics=torch.tensor([20.0, 21.0, WIDTH / 2 + 1.0, HEIGHT / 2]).expand(VIEWS, 4).contiguous(),
        distortion=distortion * torch.randn(VIEWS, 6, generator=generator),
    )


@pytest.mark.parametrize("distortion", [0.0, 0.05])
@pytest.mark.parametrize("others", [[1], [1, 2, 3], [1, 2, 3, 4, 5]])
def test_scores_equal_those_of_pytorch(distortion: float, others: list[int]) -> None:
    views, disparities = make_views(distortion), torch.linspace(5.0, 0.1, 17)
    expected = plane_sweep.scores(views, 0, others, disparities)
    found = plane_sweep.compiled_scores(views, 0, others, disparities)
    assert expected.std() > 0.1 and (expected == -1.0).any()
    # A point on the very border of a picture may round to either side.
    different = (found - expected).abs() > 1e-3
    assert different.float().mean() < 1e-3


def test_number_of_threads_changes_nothing() -> None:
    views, disparities = make_views(0.05), torch.linspace(5.0, 0.1, 17)
    threads = torch.get_num_threads()
    found = []
    for count in (1, 3):
        torch.set_num_threads(count)
        found.append(plane_sweep.compiled_scores(views, 0, [1, 2, 3], disparities))
    torch.set_num_threads(threads)
    assert torch.equal(*found)
