import math

import numpy as np
import pytest
import torch

from ovs3d.errors import UserError
from ovs3d.native.library import library
from ovs3d.teachers import store as store_module
from ovs3d.teachers.base import FeatureMeta
from ovs3d.teachers.store import FeatureStore


@pytest.fixture(autouse=True, params=[True, False], ids=["compiled", "pytorch"])
def kernels(request, monkeypatch):
    """Every test is made with the kernels and without them."""
    if not request.param:
        monkeypatch.setattr(store_module, "library", lambda: None)
    elif library() is None:
        pytest.skip("no C compiler")


def make_store(folder, shapes, holes=0.0, normalised=True, seed=0):
    generator = np.random.default_rng(seed)
    paths = []
    for index, shape in enumerate(shapes):
        features = generator.standard_normal(shape)
        if normalised:
            features /= np.linalg.norm(features, axis=-1, keepdims=True)
        features[generator.random(shape[:3]) < holes] = 0
        paths.append(folder / f"{index}.npy")
        np.save(paths[-1], features.astype(np.float16))
    levels = tuple(f"level {number}" for number in range(shapes[0][0]))
    return FeatureStore(FeatureMeta("fake", "fake-space", shapes[0][3], levels, normalised), paths)


def slow_lookup(view, u, v, normalised):
    """One ray, one level at a time, from the definition."""
    scales, height, width, dim = view.shape
    x, y = min(max(u * width - 0.5, 0), width - 1), min(max(v * height - 0.5, 0), height - 1)
    found = np.zeros((scales, dim))
    for scale in range(scales):
        weight_sum = 0.0
        for row in (math.floor(y), math.floor(y) + 1):
            for column in (math.floor(x), math.floor(x) + 1):
                weight = max(0, 1 - abs(y - row)) * max(0, 1 - abs(x - column))
                if row >= height or column >= width or weight == 0:
                    continue
                cell = view[scale, row, column].astype(np.float64)
                if not cell.any():
                    continue
                found[scale] += weight * (cell if normalised else cell / np.linalg.norm(cell))
                weight_sum += weight
        if weight_sum:
            found[scale] /= weight_sum
            found[scale] /= np.linalg.norm(found[scale])
    return found


@pytest.mark.parametrize("normalised", [True, False])
def test_lookup_equals_the_definition(tmp_path, normalised):
    store = make_store(tmp_path, [(2, 4, 5, 6), (2, 3, 7, 6), (2, 1, 1, 6)], holes=0.5, normalised=normalised)
    generator = torch.Generator().manual_seed(0)
    views = torch.randint(0, 3, (300,), generator=generator)
    uv = torch.rand(300, 2, generator=generator)
    uv[:4] = torch.tensor([[0.0, 0.0], [1.0, 1.0], [0.0, 1.0], [0.5, 0.5]])
    features, valid = store.lookup(views, uv)
    assert features.dtype == torch.float32
    expected = np.stack(
        [
            slow_lookup(store.view(view), u, v, normalised)
            for view, (u, v) in zip(views.tolist(), uv.tolist(), strict=True)
        ]
    )
    assert 0.5 < valid.float().mean() < 1
    np.testing.assert_array_equal(valid.numpy(), expected.any(-1))
    np.testing.assert_allclose(features.numpy(), expected, atol=2e-4)


@pytest.mark.parametrize("dim", [19, 64])
def test_lookup_of_long_vectors_and_more_views_than_may_be_open(tmp_path, monkeypatch, dim):
    monkeypatch.setattr(store_module, "MAX_OPEN_VIEWS", 2)
    store = make_store(tmp_path, [(2, 3, 4, dim), (2, 5, 2, dim), (2, 1, 1, dim), (2, 4, 4, dim), (2, 2, 3, dim)], 0.3)
    np.save(store.paths[3], np.asfortranarray(np.load(store.paths[3])))
    generator = torch.Generator().manual_seed(0)
    views, uv = torch.randint(0, 5, (200,), generator=generator), torch.rand(200, 2, generator=generator)
    features, valid = store.lookup(views, uv)
    places = zip(views.tolist(), uv.tolist(), strict=True)
    expected = np.stack([slow_lookup(np.load(store.paths[view]), u, v, True) for view, (u, v) in places])
    np.testing.assert_array_equal(valid.numpy(), expected.any(-1))
    np.testing.assert_allclose(features.numpy(), expected, atol=2e-4)
    assert len(store._open) <= 2


def test_lookup_at_a_cell_centre_is_that_cell(tmp_path):
    store = make_store(tmp_path, [(1, 3, 4, 5)])
    rows, columns = torch.meshgrid(torch.arange(3), torch.arange(4), indexing="ij")
    uv = torch.stack([(columns + 0.5) / 4, (rows + 0.5) / 3], dim=-1).flatten(0, 1)
    features, valid = store.lookup(torch.zeros(12, dtype=torch.long), uv)
    assert valid.all()
    np.testing.assert_allclose(features[:, 0].view(3, 4, 5).numpy(), store.view(0)[0].astype(np.float32), atol=1e-3)


def test_zero_and_non_finite_vectors_are_invalid(tmp_path):
    store = make_store(tmp_path, [(2, 3, 3, 4)])
    features = np.load(store.paths[0])
    features[0] = 0
    features[1, 1, 1, 2] = np.nan
    np.save(store.paths[0], features)
    found, valid = store.lookup(torch.tensor([0, 0]), torch.tensor([[0.5, 0.5], [0.0, 0.0]]))
    assert valid.tolist() == [[False, False], [False, True]]
    assert found[~valid].eq(0).all()
    cells, cells_valid = store.cells(0)
    assert not cells_valid[:, 0].any()
    assert cells_valid[:, 1].sum() == 8 and cells.isfinite().all()


def test_lookup_of_no_rays_is_empty(tmp_path):
    features, valid = make_store(tmp_path, [(2, 3, 3, 4)]).lookup(torch.zeros(0, dtype=torch.long), torch.zeros(0, 2))
    assert features.shape == (0, 2, 4) and valid.shape == (0, 2)


def test_cells_are_the_view_row_by_row(tmp_path):
    store = make_store(tmp_path, [(2, 3, 4, 5)], holes=0.3)
    cells, valid = store.cells(0)
    stored = store.view(0).astype(np.float32)
    np.testing.assert_allclose(cells[7, 1].numpy(), stored[1, 1, 3], atol=1e-3)
    np.testing.assert_array_equal(valid.numpy(), stored.any(-1).reshape(2, 12).T)


def test_views_stay_on_disk_in_half_precision(tmp_path, monkeypatch):
    monkeypatch.setattr(store_module, "MAX_OPEN_VIEWS", 2)
    store = make_store(tmp_path, [(1, 2, 2, 3)] * 5)
    assert len(store) == 5
    for index in (0, 1, 2, 3, 4, 0):
        view = store.view(index)
        assert isinstance(view, np.memmap) and view.dtype == np.float16 and not view.flags.writeable
        np.testing.assert_array_equal(view, np.load(store.paths[index]))
    assert len(store._open) == 2


@pytest.mark.parametrize("content", ["cut", "float32", "levels", "text", "missing"])
def test_a_bad_file_is_named(tmp_path, content):
    store = make_store(tmp_path, [(2, 3, 4, 5)])
    path = store.paths[0]
    if content == "cut":
        path.write_bytes(path.read_bytes()[:-7])
    elif content == "float32":
        np.save(path, np.zeros((2, 3, 4, 5), np.float32))
    elif content == "levels":
        np.save(path, np.zeros((3, 3, 4, 5), np.float16))
    elif content == "text":
        path.write_text("features")
    else:
        path.unlink()
    with pytest.raises(UserError, match=r"0\.npy"):
        store.view(0)
