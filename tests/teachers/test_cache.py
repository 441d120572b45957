import hashlib
import time

import numpy as np
import pytest
import torch
from PIL import Image
from rich.progress import Progress

from ovs3d.errors import UserError
from ovs3d.teachers.base import FeatureMeta, resize, unit_or_zero
from ovs3d.teachers.cache import cache_folder, default_cache_root, extract_features
from tests.teachers.fakes import picture


class CountingTeacher:
    """Colours as features; counts its calls and can be told to fail at one of them."""

    def __init__(self, fail_at: int | None = None, space: str = "colour", **options) -> None:
        self.meta = FeatureMeta("colours", space, 3, ("fine", "coarse"), normalised=True)
        self.options = {"stride": 4, **options}
        self.calls, self.fail_at = 0, fail_at

    def extract(self, image):
        if self.calls == self.fail_at:
            raise RuntimeError("interrupted")
        self.calls += 1
        return unit_or_zero(resize(image[None], 4, 5).permute(0, 2, 3, 1).expand(2, -1, -1, -1))


@pytest.fixture
def images(tmp_path):
    (tmp_path / "images").mkdir()
    paths = [tmp_path / "images" / f"{index}.png" for index in range(4)]
    for index, path in enumerate(paths):
        save(path, index)
    return paths


def save(path, seed):
    pixels = (picture(24, 30, seed).permute(1, 2, 0) * 255).byte().numpy()
    Image.fromarray(pixels).save(path)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_features_are_kept_and_read_back_byte_for_byte(images, tmp_path):
    teacher = CountingTeacher()
    store = extract_features(teacher, images, tmp_path / "cache", progress=True)
    folder = cache_folder(teacher, tmp_path / "cache")
    before = contents(folder)
    again = extract_features(teacher, images, tmp_path / "cache")
    assert teacher.calls == 4
    assert contents(folder) == before
    assert set(before) == {"meta.json", *(path.name for path in store.paths)}
    digest = hashlib.sha256(images[2].read_bytes()).hexdigest()
    assert again.paths[2].name == f"{digest[:24]}.npy"
    expected = CountingTeacher().extract(torch.from_numpy(np.array(Image.open(images[2]))).permute(2, 0, 1) / 255)
    assert again.view(2).tobytes() == expected.numpy().astype(np.float16).tobytes()


def test_a_changed_image_recomputes_itself_alone(images, tmp_path):
    teacher = CountingTeacher()
    old = extract_features(teacher, images, tmp_path / "cache")
    save(images[1], 77)
    new = extract_features(teacher, images, tmp_path / "cache")
    assert teacher.calls == 5
    assert [a == b for a, b in zip(old.paths, new.paths, strict=True)] == [True, False, True, True]
    assert not np.array_equal(old.view(1), new.view(1))


@pytest.mark.parametrize("change", [{"stride": 2}, {"seed": 5}, {"space": "other"}])
def test_a_changed_option_or_space_is_another_cache(images, tmp_path, change):
    extract_features(CountingTeacher(), images, tmp_path / "cache")
    changed = CountingTeacher(**change)
    extract_features(changed, images, tmp_path / "cache")
    assert changed.calls == 4
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_an_interrupted_extraction_resumes_and_leaves_no_half_file(images, tmp_path):
    with pytest.raises(RuntimeError):
        extract_features(CountingTeacher(fail_at=2), images, tmp_path / "cache")
    teacher = CountingTeacher()
    folder = cache_folder(teacher, tmp_path / "cache")
    assert len(contents(folder)) == 3
    store = extract_features(teacher, images, tmp_path / "cache")
    assert teacher.calls == 2
    assert all(store.view(index).shape == (2, 4, 5, 3) for index in range(4))


def test_a_failing_write_leaves_nothing(images, tmp_path, monkeypatch):
    def refuse(source, target):
        if str(target).endswith(".npy"):
            raise OSError(28, "No space left on device")
        source.rename(target)

    monkeypatch.setattr("ovs3d.teachers.cache.os.replace", refuse)
    with pytest.raises(UserError, match="No space left"):
        extract_features(CountingTeacher(), images, tmp_path / "cache")
    assert set(contents(cache_folder(CountingTeacher(), tmp_path / "cache"))) == {"meta.json"}


@pytest.mark.parametrize("damage", ["cut", "empty", "shape", "dtype"])
def test_a_damaged_view_is_computed_again(images, tmp_path, damage):
    store = extract_features(CountingTeacher(), images, tmp_path / "cache")
    path, whole = store.paths[1], store.paths[1].read_bytes()
    if damage == "cut":
        path.write_bytes(whole[:-1])
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "shape":
        np.save(path, np.zeros((2, 4, 5, 4), np.float16))
    else:
        np.save(path, np.zeros((2, 4, 5, 3), np.float32))
    teacher = CountingTeacher()
    extract_features(teacher, images, tmp_path / "cache")
    assert teacher.calls == 1
    assert path.read_bytes() == whole


def test_an_edited_meta_is_refused(images, tmp_path):
    folder = cache_folder(CountingTeacher(), tmp_path / "cache")
    path = folder / "meta.json"
    path.write_text(path.read_text().replace('"dim": 3', '"dim": 4'))
    with pytest.raises(UserError, match=r"meta\.json"):
        extract_features(CountingTeacher(), images, tmp_path / "cache")
    path.write_text("{")
    with pytest.raises(UserError, match="not JSON"):
        extract_features(CountingTeacher(), images, tmp_path / "cache")


def test_damaged_and_missing_images_are_named(images, tmp_path):
    images[3].write_bytes(images[3].read_bytes()[:60])
    with pytest.raises(UserError, match=r"3\.png cannot be read"):
        extract_features(CountingTeacher(), images, tmp_path / "cache")
    with pytest.raises(UserError, match=r"absent\.png"):
        extract_features(CountingTeacher(), [tmp_path / "absent.png"], tmp_path / "cache")


def test_equal_images_share_a_file(images, tmp_path):
    images[1].write_bytes(images[0].read_bytes())
    teacher = CountingTeacher()
    store = extract_features(teacher, images, tmp_path / "cache")
    assert teacher.calls == 3 and len(store) == 4


def test_a_cache_that_cannot_be_made_is_a_users_error(images, tmp_path):
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(UserError, match="OVS3D_CACHE"):
        extract_features(CountingTeacher(), images, tmp_path / "cache")


def test_the_cache_root_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("OVS3D_CACHE", str(tmp_path))
    assert default_cache_root() == tmp_path / "features"
    monkeypatch.delenv("OVS3D_CACHE")
    assert default_cache_root().parts[-3:] == (".cache", "ovs3d", "features")


def test_the_time_that_is_left_is_known_when_views_take_minutes(images, tmp_path, monkeypatch):
    clock, remaining, bars = [0.0], [], []

    class SlowTeacher(CountingTeacher):
        def extract(self, image):
            clock[0] += 60
            time.sleep(0.25)  # The bar is brought up to date every tenth of a second.
            remaining.append(bars[0].tasks[0].time_remaining)
            return super().extract(image)

    def clocked(*columns, **options):
        bars.append(Progress(*columns, **options, get_time=lambda: clock[0]))
        return bars[0]

    monkeypatch.setattr("ovs3d.teachers.cache.Progress", clocked)
    extract_features(SlowTeacher(), images, tmp_path / "cache", progress=True)
    # Two views are needed for a speed; which minute the bar counts for them is chance.
    assert all(left is not None and 30 <= left <= 240 for left in remaining[2:])
