"""The compiled kernels: values and gradients of the PyTorch code, for any number of threads."""

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

from ovs3d.field.hashgrid import HashGrid, look_up
from ovs3d.field.planes import Planes, plane_product
from ovs3d.field.radiance import trilinear
from ovs3d.native.grids import DenseLookUp, HashLookUp, PlaneProduct, contracted, supported
from ovs3d.native.library import find_compiler, library
from ovs3d.rendering import contract

pytestmark = pytest.mark.skipif(find_compiler() is None, reason="no C compiler")

LookUp = Callable[[Tensor], Tensor]


@pytest.fixture
def points() -> Tensor:
    """More than a block of them, some outside of the cube, and the corners and the middle, which are entries."""
    generator = torch.Generator().manual_seed(0)
    corners = torch.cartesian_prod(*[torch.tensor([-1.0, 0.0, 1.0])] * 3)
    return torch.cat([3.0 * torch.rand(200, 3, generator=generator) - 1.5, corners])


def test_compiler_at_hand_compiles_the_kernels() -> None:
    assert library() is not None


def with_gradient(look_up: LookUp, points: Tensor, entries: Sequence[Tensor]) -> tuple[Tensor, ...]:
    found = look_up(points)
    toward = torch.randn(found.shape, generator=torch.Generator().manual_seed(1))
    return found, *torch.autograd.grad(found, entries, toward)


def assert_equal(first: LookUp, second: LookUp, points: Tensor, entries: Sequence[Tensor]) -> None:
    pairs = zip(with_gradient(first, points, entries), with_gradient(second, points, entries), strict=True)
    for one, other in pairs:
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("channels", [1, 3, 8, 16, 70])
def test_planes(points: Tensor, channels: int) -> None:
    grids = list(Planes((2, 5, 40), channels).grids)
    assert_equal(
        lambda where: PlaneProduct.apply(where, True, *grids), lambda where: plane_product(where, grids), points, grids
    )


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_hash_grid(points: Tensor, channels: int) -> None:
    grid = HashGrid((3, 8, 50), channels, 9)  # The first level is dense, the others are hashed.
    tables, sides = list(grid.tables), grid.resolutions
    assert len(tables[0]) == 4**3 and len(tables[1]) == len(tables[2]) == 512
    with torch.no_grad():
        for table in tables:
            table.normal_()
    assert_equal(
        lambda where: HashLookUp.apply(where, sides, *tables), lambda where: look_up(where, sides, tables), points,
        tables,
    )  # fmt: skip


@pytest.mark.parametrize("side", [2, 7])
def test_dense_grid(points: Tensor, side: int) -> None:
    grid = torch.randn(side, side, side, requires_grad=True)
    assert_equal(lambda where: DenseLookUp.apply(where, grid), lambda where: trilinear(where, grid), points, [grid])


def test_contraction(points: Tensor) -> None:
    points = torch.cat([points, 100.0 * points]).reshape(2, -1, 3)
    assert supported(points, ())
    torch.testing.assert_close(contracted(points), contract(points.double()).float())


def test_any_number_of_threads_gives_the_same_numbers(points: Tensor) -> None:
    planes, hashed, dense = Planes((4, 30), 8), HashGrid((4, 64), 4, 8), torch.randn(9, 9, 9, requires_grad=True)
    look_ups: list[tuple[LookUp, list[Tensor]]] = [
        (planes, list(planes.grids)), (hashed, list(hashed.tables)), (lambda x: DenseLookUp.apply(x, dense), [dense]),
    ]  # fmt: skip
    before = torch.get_num_threads()
    try:
        for look_up_at, entries in look_ups:
            results = []
            for threads in (1, 3):
                torch.set_num_threads(threads)
                results.append(with_gradient(look_up_at, points, entries))
            assert all(torch.equal(one, other) for one, other in zip(*results, strict=True))
    finally:
        torch.set_num_threads(before)


def test_layout_of_the_points_and_inference_change_nothing(points: Tensor) -> None:
    grids = list(Planes((6,), 8).grids)
    turned = points.T.contiguous().T  # Same numbers, other strides.
    expected = PlaneProduct.apply(points, True, *grids)
    assert torch.equal(PlaneProduct.apply(turned, True, *grids), expected)
    assert torch.equal(PlaneProduct.apply(points, False, *grids), expected), "nothing is kept for a backward pass"


def test_no_points_give_no_features_and_no_gradient() -> None:
    planes = Planes((6,), 8)
    planes(torch.zeros(0, 3)).sum().backward()
    gradient = planes.grids[0].grad
    assert gradient is not None and not gradient.any()


def test_what_the_kernels_cannot_do_is_left_to_pytorch() -> None:
    points, entries = torch.zeros(4, 3), torch.zeros(2, 2, 2)
    assert supported(points, [entries])
    assert not supported(points.double(), [entries.double()])
    assert not supported(points.clone().requires_grad_(), [entries])
    assert not supported(points, [entries.transpose(0, 2)])


def test_backward_passes_that_would_be_wrong_are_refused(points: Tensor) -> None:
    grids = list(Planes((6,), 8).grids)
    with pytest.raises(RuntimeError, match="not for training"):
        PlaneProduct.apply(points, False, *grids).sum().backward()
    found = PlaneProduct.apply(points, True, *grids)
    (first,) = torch.autograd.grad(found.square().sum(), grids, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()
