"""Cached samples: the lattice, patches of neighbours, and the table."""

import torch

from ovs3d.field import samples
from ovs3d.field.samples import KeptSamples, build_table, lattice_rays


def make_table(views: int = 3, random_rays: int = 50, lattice: tuple[int, int] = (4, 6)) -> samples.SampleTable:
    def sample_rays(views, uv):
        # Points and weights tell which ray they belong to.
        place = torch.stack([views.float() / 10, uv[:, 0], uv[:, 1]], dim=-1)
        weights = torch.stack([uv[:, 0], 1 - uv[:, 0]], dim=-1)
        return KeptSamples(place[:, None].expand(-1, 2, -1), weights, 1 - place)

    return build_table(sample_rays, views, random_rays, lattice, torch.Generator().manual_seed(0))


def test_lattice_rays_go_through_the_middles_of_cells() -> None:
    views, uv = lattice_rays(2, 3, 4)
    assert views.tolist() == [0] * 12 + [1] * 12
    grid = uv.reshape(2, 3, 4, 2)
    for row in range(3):
        for column in range(4):
            expected = torch.tensor([(column + 0.5) / 4, (row + 0.5) / 3])
            torch.testing.assert_close(grid[1, row, column], expected)


def test_rows_hold_the_samples_of_their_own_ray(monkeypatch) -> None:
    monkeypatch.setattr(samples, "CHUNK", 7)  # Several chunks, the last one not full.
    seen = []
    table = make_table()
    assert len(table) == len(table.samples) == 3 * 4 * 6 + 50 and table.samples.points.dtype == torch.float16
    rows = torch.tensor([70, 3, 121])
    kept = table.samples[rows].to(torch.float32)
    torch.testing.assert_close(kept.points[:, 1, 0], table.views[rows] / 10, atol=1e-3, rtol=0)
    torch.testing.assert_close(kept.points[:, 0, 1:], table.uv[rows], atol=1e-3, rtol=0)
    torch.testing.assert_close(kept.weights[:, 0], table.uv[rows, 0], atol=1e-3, rtol=0)
    torch.testing.assert_close(kept.colours[:, 1:], 1.0 - table.uv[rows], atol=1e-3, rtol=0)
    build_table(
        lambda views, uv: KeptSamples(torch.zeros(len(uv), 1, 3), torch.ones(len(uv), 1), torch.ones(len(uv), 3)),
        2, 6, (2, 2), torch.Generator(), lambda done, total: seen.append((done, total)),
    )  # fmt: skip
    assert seen == [(7, 14), (14, 14)]


def test_random_rays_are_those_of_the_generator() -> None:
    assert torch.equal(make_table().uv, make_table().uv)
    later = make_table().uv[72:]
    assert later.min() >= 0.0 and later.max() <= 1.0 and len(later.unique(dim=0)) == 50


def test_patches_are_windows_of_neighbours_in_one_view() -> None:
    table = make_table()
    rows = table.patch_rows(200, 3, torch.Generator().manual_seed(1))
    assert rows.shape == (200, 9)
    assert (table.views[rows] == table.views[rows][:, :1]).all()
    cells = torch.stack([table.uv[rows][..., 1] * 4 - 0.5, table.uv[rows][..., 0] * 6 - 0.5], dim=-1).round().long()
    steps = torch.stack(torch.meshgrid(torch.arange(3), torch.arange(3), indexing="ij"), dim=-1).reshape(9, 2)
    assert torch.equal(cells - cells[:, :1], steps.expand(200, 9, 2))
    # Every window occurs: 3 views, 2 tops, 4 lefts.
    assert len(rows.unique(dim=0)) == 3 * 2 * 4


def test_patch_larger_than_the_lattice_is_the_whole_of_it() -> None:
    rows = make_table().patch_rows(5, 32)
    assert rows.shape == (5, 24)
    assert all(row.tolist() == list(range(row[0], row[0] + 24)) and row[0] % 24 == 0 for row in rows)


def test_table_without_a_patch_encoder_has_random_rays_alone() -> None:
    table = make_table(lattice=(0, 0))
    assert len(table) == 50 and table.lattice == (3, 0, 0)
