"""The photographs of a split, with exact labels beside the held-out ones."""

from copy import copy

import torch
from nerfstudio.data.dataparsers.base_dataparser import DataparserOutputs
from nerfstudio.data.datasets.base_dataset import InputDataset

from ovs3d.data.labels import load_label_map


class OVS3DDataset(InputDataset):
    """Host's dataset; with `with_labels` every item of a labelled view has `labels`, int64 [h, w], -1 = ignore."""

    def __init__(
        self, dataparser_outputs: DataparserOutputs, scale_factor: float = 1.0, with_labels: bool = False
    ) -> None:
        super().__init__(dataparser_outputs, scale_factor)
        self.with_labels = with_labels
        self._as_bytes = False

    def as_bytes(self) -> "OVS3DDataset":
        """The same dataset whose items have their photograph as bytes, a quarter of the memory."""
        dataset = copy(self)
        dataset._as_bytes = True
        return dataset

    def __getitem__(self, image_idx: int) -> dict:
        return self.get_data(image_idx, "uint8" if self._as_bytes else "float32")

    @property
    def dataparser_outputs(self) -> DataparserOutputs:
        """The split as the dataparser read it."""
        return self._dataparser_outputs

    def get_metadata(self, data: dict) -> dict:
        """The label map at the photograph's size, matched to the asked classes by name."""
        paths = self.metadata.get("label_paths") or []
        if not self.with_labels or not any(path is not None for path in paths):
            return {}
        height, width = data["image"].shape[:2]
        source = paths[data["image_idx"]]
        if source is None:
            return {"labels": torch.full((height, width), -1, dtype=torch.int64)}
        class_names = tuple(name for name, _ in self.metadata["classes"])
        labels = load_label_map(source, self.metadata["label_names"], class_names, (height, width))
        return {"labels": torch.from_numpy(labels)}
