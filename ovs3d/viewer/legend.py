"""The legend: a switch for every class, in its colour."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, UInt8
from torch import Tensor
from viser import GuiApi, GuiButtonHandle, Icon

FOLDED = 12
"""More classes than these are folded away at first."""


class Legend:
    """Buttons in the class colours; pressed, a class is grey and no longer shown.

    Args:
        gui: where the folder of the legend is added.
        names: of the classes.
        colours: one per name.
        changed: called after a switch.
    """

    def __init__(
        self,
        gui: GuiApi,
        names: Sequence[str],
        colours: UInt8[np.ndarray, "classes 3"],
        changed: Callable[[], None],
    ) -> None:
        self._changed = changed
        self._switches: list[tuple[GuiButtonHandle, GuiButtonHandle]] = []
        with gui.add_folder("Classes", expand_by_default=len(names) <= FOLDED):
            gui.add_button("Show all / none", icon=Icon.EYE, color="gray").on_click(lambda _: self._switch_all())
            for index, (name, colour) in enumerate(zip(names, colours, strict=True)):
                self._switches.append(self._add(gui, index, name, colour))

    @property
    def shown(self) -> Bool[Tensor, " classes"]:
        """Classes that are switched on."""
        return torch.tensor([on.visible for on, _ in self._switches], dtype=torch.bool)

    def _add(
        self, gui: GuiApi, index: int, name: str, colour: UInt8[np.ndarray, "3"]
    ) -> tuple[GuiButtonHandle, GuiButtonHandle]:
        """A button cannot change its colour: there are two, and one of them is to be seen."""
        css: Any = "#{:02x}{:02x}{:02x}".format(*colour)  # The page takes any colour, the host's signature names a few.
        on = gui.add_button(name, icon=Icon.EYE, color=css)
        off = gui.add_button(name, icon=Icon.EYE_OFF, color="dark", visible=False)
        on.on_click(lambda _: self._switch([index], False))
        off.on_click(lambda _: self._switch([index], True))
        return on, off

    def _switch(self, indices: Sequence[int], shown: bool) -> None:
        for index in indices:
            on, off = self._switches[index]
            on.visible, off.visible = shown, not shown
        self._changed()

    def _switch_all(self) -> None:
        self._switch(range(len(self._switches)), not bool(self.shown.all()))
