"""The panel "Ask" in nerfstudio's viewer: words, a picked place, and what is painted over the picture."""

import math
from collections.abc import Callable
from contextlib import nullcontext
from threading import Lock, Timer
from typing import TYPE_CHECKING

from nerfstudio.viewer.viewer_elements import ViewerClick, ViewerControl
from viser import GuiEvent, Icon

from ovs3d.errors import UserError
from ovs3d.palette import class_colours
from ovs3d.pca import PrincipalColours
from ovs3d.query.vectors import Question
from ovs3d.viewer.asking import Asked, Asker, words_of
from ovs3d.viewer.legend import Legend
from ovs3d.viewer.rendering import Look, ViewedModel
from ovs3d.viewer.wording import HELP, describe, plain

if TYPE_CHECKING:
    from nerfstudio.viewer.viewer import Viewer

    from ovs3d.pipeline import OVS3DPipeline

PAUSE = 0.4
"""Seconds without typing after which words are asked: the page reports every letter."""


class Panel(ViewerControl):
    """An attribute of the pipeline, where the host looks for such elements; inert until a viewer is served.

    All browsers share one panel, as they share the host's.
    """

    def __init__(self, pipeline: "OVS3DPipeline") -> None:
        self._pipeline = pipeline
        self._asked: Asked | None = None
        self._colours: PrincipalColours | None = None
        self._has_semantics = False
        self._typing: Timer | None = None
        self._wanted: str | None = None  # Output to be chosen as soon as the host offers it.
        self._turn = Lock()

    def _setup(self, viewer: "Viewer") -> None:
        """Called by the host, once, when its own panel is complete."""
        super()._setup(viewer)
        self._asker = Asker(self._pipeline, viewer.train_lock or nullcontext())
        viewed = ViewedModel(self._pipeline.model, self._look, self._training)
        vars(viewer)["get_model"] = lambda: viewed
        gui, classes = self.viser_server.gui, self._pipeline.config.model.classes
        # Between the host's header and its tabs, which begin with the next element.
        with gui.add_folder("Ask", order=math.nextafter(viewer.stats_markdown.order, math.inf)):
            self.words = gui.add_text("Words", "", hint="What to look for; commas between several.")
            self.negatives = gui.add_text(
                "Negatives", "", hint="What it is not; if empty, all classes but the nearest."
            )
            gui.add_button(
                "Pick a place", icon=Icon.POINTER, hint="Click into the view: what else is like what is there?"
            ).on_click(self._pick)
            self.threshold = gui.add_slider("Threshold", 0.0, 1.0, 0.01, 0.5, hint="Scores above it are painted.")
            self.opacity = gui.add_slider("Opacity", 0.0, 1.0, 0.05, 0.6, hint="Of what is painted over the picture.")
            self._message = gui.add_markdown(HELP)
            self._legend = Legend(gui, classes, class_colours(len(classes)), self._redraw)
            if viewer.trainer is not None:
                gui.add_button("Fit pca again", hint="Its colours stay while the features are trained on.").on_click(
                    self._forget_colours
                )
        for text in (self.words, self.negatives):
            text.on_update(self._typed)
        for slider in (self.threshold, self.opacity):
            slider.on_update(lambda _: self._redraw())

    def _training(self) -> bool:
        """Whether this process trains, or may go on with it, on the processors that render."""
        trainer, device = self.viewer.trainer, self._pipeline.model.device
        return trainer is not None and trainer.training_state != "completed" and device.type == "cpu"

    def _look(self) -> Look:
        """What a render shows; it holds the lock of the model, and the semantic stage has begun."""
        if not self._has_semantics:
            self._has_semantics = True
            self._typed()  # What was asked too early.
        if self._wanted is not None:
            self._show(self._wanted)
        outputs = self._visible()
        if "pca" in outputs and self._colours is None:
            self._colours = self._asker.fit_colours()
        return Look(outputs, self._asked, self.threshold.value, self.opacity.value, self._legend.shown, self._colours)

    def _visible(self) -> frozenset[str]:
        """Outputs that the host shows."""
        control = self.viewer.control_panel
        return frozenset([control.output_render, *([control.split_output_render] if control.split else [])])

    def _typed(self, _: GuiEvent | None = None) -> None:
        if self._typing is not None:
            self._typing.cancel()
        self._typing = Timer(PAUSE, self._answer, [self._ask_words])
        self._typing.daemon = True
        self._typing.start()

    def _pick(self, _: GuiEvent) -> None:
        self.register_pointer_cb("click", self._picked)
        self._message.content = "Click into the view: what else is like this?"

    def _picked(self, click: ViewerClick) -> None:
        self.unregister_pointer_cb()
        self._answer(lambda: ([self._asker.like(click.origin, click.direction)], []))

    def _ask_words(self) -> tuple[list[Question], list[str]]:
        words = words_of(self.words.value)
        if len(words) == 0:
            return [], []
        self._message.content = "Looking for " + plain(words[0]) + (" and others" if len(words) > 1 else "")
        return self._asker.words(words, words_of(self.negatives.value))

    def _answer(self, ask: Callable[[], tuple[list[Question], list[str]]]) -> None:
        """Asks, one after another, and shows the answer or why there is none."""
        with self._turn:
            try:
                questions, problems = ask()
            except UserError as error:
                questions, problems = [], [str(error)]
            self._asked = Asked.of(questions) if len(questions) > 0 else None
            self._message.content = describe([question.name for question in questions], problems)
        if self._asked is not None:
            self._show("relevancy")
        self._redraw()

    def _show(self, output: str) -> None:
        """Chooses an output that is not to be seen yet, once the host offers it."""
        dropdown = self.viewer.control_panel._output_render
        self._wanted = output if output not in dropdown.options else None
        if self._wanted is None and output not in self._visible():
            dropdown.value = output

    def _forget_colours(self, _: GuiEvent) -> None:
        self._colours = None
        self._redraw()

    def _redraw(self) -> None:
        self.viewer._trigger_rerender()
