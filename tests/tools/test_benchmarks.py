"""Benchmarks: turns, medians, and both training loops on a small scene."""

from pathlib import Path

import pytest
import torch

from ovs3d.data.dataparser import OVS3DDataParserConfig
from ovs3d.evaluation.results import read_results
from ovs3d.teachers.files import open_features, open_vocabulary
from tests.end_to_end.box_scene import write_scene
from tools.benchmark import Benchmark
from tools.benchmarks import floor, processes, stage2, synthetic
from tools.benchmarks.methods import nerfacto, ours
from tools.benchmarks.timing import Pairs, median_row, take_turns


def test_sides_take_turns_after_one_call_that_does_not_count() -> None:
    calls: list[str] = []
    pairs = take_turns(lambda: calls.append("a"), lambda: calls.append("b"), 3)
    assert "".join(calls) == "ab" * 4
    assert len(pairs.ours) == len(pairs.theirs) == 3 and min(pairs.ours + pairs.theirs) >= 0.0


def test_ratio_is_taken_within_a_turn() -> None:
    # The machine slows down to a half in the last turn: ratios do not notice.
    ratios = Pairs(ours=(1.0, 1.0, 2.0), theirs=(3.0, 4.0, 6.0)).ratios
    row = median_row("speed", ratios, 3.0, "x")
    assert row.value == pytest.approx(3.0) and row.reached and row.unit == "x"
    assert row.spread == pytest.approx(3.0**-0.5)


def test_median_is_not_moved_by_one_slow_turn() -> None:
    row = median_row("seconds", (1.0, 1.1, 9.0), 1.2, "s", higher_is_better=False)
    assert row.value == pytest.approx(1.1) and row.reached and len(row.seeds) == 3


@pytest.mark.slow
@pytest.mark.parametrize("method", [ours, nerfacto], ids=["ours", "nerfacto"])
def test_both_methods_train_on_the_same_data_without_network(method, tmp_path: Path) -> None:
    write_scene(tmp_path)
    loop = method(tmp_path, 48)
    before = loop.held_out_psnr()
    loop.iterate(5)
    assert loop.step == 5 and loop.held_out_psnr() > before


@pytest.mark.slow
def test_floor_names_every_kind_of_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage2, "RAYS", 64)
    monkeypatch.setattr(stage2, "PATCHES", 1)
    monkeypatch.setattr(stage2, "SIDE", 4)
    alone = floor.floor(stage2.Iteration(tmp_path))
    assert len(alone) == 4 and min(alone.values()) > 0.0


def test_recorded_products_are_those_that_ran() -> None:
    a, b = torch.randn(2, 3, requires_grad=True), torch.randn(3, 4)
    with floor.Recorder() as recorder:
        (a @ b).relu().sum().backward()
    assert [kind for kind, _ in recorder.calls] == ["products", "products"]
    torch.testing.assert_close(recorder.calls[0][1](), a.detach() @ b)


def test_synthetic_scene_trains_from_synthetic_features(tmp_path: Path) -> None:
    scene = synthetic.write_scene(tmp_path / "scene", 3, 64, 48)
    features = synthetic.write_features(tmp_path / "features", scene, 16, 2)
    words = synthetic.word_list(2)
    parsed = OVS3DDataParserConfig(data=scene, classes=tuple(words)).setup().get_dataparser_outputs("train")
    assert len(parsed.image_filenames) == 3 and int(parsed.cameras.width[0]) == 64
    assert len(open_features(features, [Path(name) for name in parsed.image_filenames])) == 3
    vocabulary = open_vocabulary(features)
    assert vocabulary is not None and vocabulary.encode_text(words).shape == (2, 16)


def test_usage_of_a_process_is_its_own(tmp_path: Path) -> None:
    usage = processes.run(["python", "-c", "bytearray(200_000_000)"], tmp_path)
    assert 0.2 < usage.peak_gb < 0.3 and usage.seconds > 0.0
    with pytest.raises(SystemExit, match="status 3"):
        processes.run(["python", "-c", "raise SystemExit(3)"], tmp_path)


def test_group_measured_alone_takes_the_place_of_its_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = iter([1.0, 2.0, 3.0])
    measure = lambda: iter([median_row("speed", (next(values),), None, "s")])  # noqa: E731
    monkeypatch.setattr(Benchmark, "groups", lambda self: {"first": measure, "second": measure})
    out, page = tmp_path / "rows.json", tmp_path / "page.md"
    Benchmark(out=out, page=page).run()
    Benchmark(only=("first",), out=out, page=page).run()
    rows = read_results(out)
    assert [(row.command[-12:], row.value) for row in rows] == [("--only first", 3.0), ("-only second", 2.0)]
    assert page.read_text().startswith("# Benchmarks")
    with pytest.raises(SystemExit, match="none of first, second"):
        Benchmark(only=("third",), out=out, page=page).run()
