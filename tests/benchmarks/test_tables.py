"""Published and measured numbers side by side."""

import io
from statistics import mean

import pytest
from rich.console import Console

from ovs3d.benchmarks.published import OVS_MEAN, PUBLISHED_3D_OVS, Published
from ovs3d.benchmarks.tables import Measured, comparison, mean_over, result_rows

OTHER = Published("Other", 70.0, "Other, Table 1", "all views trained on", {"bed": 60.0, "sofa": 80.0})
OURS = Measured("mIoU", "ours", "held out", {"bed": 65.0, "snacks": 40.0, "sofa": 75.0}, OTHER)


def test_means_are_over_all_named_scenes_or_not_given() -> None:
    assert mean_over(OURS.scenes, ("bed", "sofa")) == 70.0
    assert mean_over(OURS.scenes, ("bed", "lawn")) is None


def test_rows_have_the_published_number_as_their_target() -> None:
    rows = {row.name: row for row in result_rows([OURS], ("bed", "sofa"), 3, "ovs3d bench")}
    assert rows["bed, mIoU"].value == 65.0 and rows["bed, mIoU"].target == 60.0 and rows["bed, mIoU"].reached
    assert rows["sofa, mIoU"].reached is False and rows["snacks, mIoU"].target is None
    assert rows["mean, mIoU"].value == 70.0 and rows["mean, mIoU"].target == 70.0
    assert {row.unit for row in rows.values()} == {"%"} and rows["mean, mIoU"].seeds == (3,)
    plain = Measured("mIoU", "ours", "held out", OURS.scenes)
    assert all(row.target is None for row in result_rows([plain], ("bed", "lawn"), 0, ""))
    assert result_rows([plain], ("bed", "lawn"), 0, "")[0].value is None


def test_table_has_every_scene_the_means_and_the_protocols() -> None:
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(comparison("title", [OURS], [OTHER], ("bed", "lawn")))
    lines = console.export_text().splitlines()
    cells = {line.strip("│ ").split("│")[0].strip(): line.replace("│", " ").split() for line in lines}
    assert cells["bed"][-2:] == ["60.0", "65.0"] and cells["lawn"][-2:] == ["-", "-"]
    assert cells["snacks"][-2:] == ["-", "40.0"] and cells["mean of 2"][-2:] == ["70.0", "-"]
    assert "Other: all views trained on (Other, Table 1)." in "\n".join(lines)
    assert "ours: held out." in "\n".join(lines)


@pytest.mark.parametrize("column", PUBLISHED_3D_OVS, ids=lambda column: column.name)
def test_published_means_are_those_of_their_scenes(column: Published) -> None:
    assert column.protocol and column.source and set(column.scenes) <= set(OVS_MEAN)
    if set(column.scenes) == set(OVS_MEAN):
        assert mean(column.scenes.values()) == pytest.approx(column.mean, abs=0.051)
