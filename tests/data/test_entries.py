"""Entries of pose files that can be computed with, though they are not exact."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from ovs3d.data.entries import read_pose


@pytest.mark.parametrize("length", [1.0, 0.01, 300.0])
def test_poses_of_few_digits_and_any_one_length_are_taken_as_they_are(length: float) -> None:
    pose = np.eye(4)
    pose[:3, :3] = length * Rotation.from_euler("xyz", (0.3, -1.1, 2.0)).as_matrix().round(3)
    pose[:3, 3] = 1.0, -2.0, 3.0
    np.testing.assert_array_equal(read_pose({"transform_matrix": pose.tolist()}, "here"), pose)
