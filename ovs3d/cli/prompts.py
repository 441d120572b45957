"""`ovs3d prompts`: what the teacher makes of the words, before any training."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ovs3d.cli.command import Command, Report, chosen_device


@dataclass
class Prompts(Command):
    """Show what the teacher sees, for example: ovs3d prompts --data data/room --encoder tiny-clip."""

    data: Path
    """Scene folder."""
    classes: tuple[str, ...] = ()
    """Words, "name" or "name: prompt | prompt"; by default those of DATA/classes.txt."""
    encoder: str = "ViT-B-16:laion2b_s34b_b88k"
    """Image-text encoder: MODEL:PRETRAINED, MODEL:/path/to/checkpoint, hf-hub:ORG/NAME, or tiny-clip."""
    teacher: str = "clip-dense"
    """clip-dense or clip-crops; with --features it is files."""
    features: Path | None = None
    """Folder of features computed by another program."""
    templates: tuple[str, ...] = ()
    """Sentences with {} for the word, averaged, or photo, as of ns-train --templates."""
    views: tuple[str, ...] = ()
    """Photographs to look at, named without their suffixes, or one number: so many training views, spread evenly; by
    default 3."""
    out: Path = Path("outputs/prompts.png")
    """The figure."""
    device: str | None = None
    """cpu or cuda; by default cuda where there is one."""

    def run(self) -> Report:
        """Writes the figure and prints what the teacher mixes up."""
        from nerfstudio.utils.rich_utils import CONSOLE
        from PIL import Image

        from ovs3d.data.datamanager import OVS3DDataManagerConfig
        from ovs3d.data.dataparser import OVS3DDataParserConfig
        from ovs3d.data.images import SUFFIXES, read_rgb
        from ovs3d.errors import UserError
        from ovs3d.evaluation.prompts import ViewMaps, prompts_figure, relevancy_maps, warnings
        from ovs3d.files import whole_file
        from ovs3d.preflight import read_classes
        from ovs3d.teachers.bank import open_teachers
        from ovs3d.teachers.text import embed_classes, resolve_templates

        if self.out.suffix.lower() not in SUFFIXES:
            raise UserError(f"--out {self.out} is no name for a picture; let it end in .png.")
        parser = OVS3DDataParserConfig(data=self.data)
        teachers = ("files",) if self.features is not None else (self.teacher,)
        manager = OVS3DDataManagerConfig(
            data=self.data, dataparser=parser, encoder=self.encoder, teachers=teachers, features=self.features,
            templates=resolve_templates(self.templates),
        )  # fmt: skip
        classes = read_classes(manager, self.classes)
        names = [name for name, _ in classes]
        chosen = chosen_photographs(self.data, self.views)
        store = open_teachers(manager, list(chosen.values()), chosen_device(self.device)).text_store
        text = embed_classes(manager, tuple(texts for _, texts in classes), store.meta.space)
        views = [
            ViewMaps(name, read_rgb(path), relevancy_maps(store, index, text))
            for index, (name, path) in enumerate(chosen.items())
        ]
        with whole_file(self.out) as draft:
            Image.fromarray(prompts_figure(views, names, store.meta.levels)).save(draft)
        found = list(warnings(views, names))
        for warning in found:
            CONSOLE.print(warning, markup=False)
        CONSOLE.print(f"Figure: {self.out}", markup=False)
        return Report({"warnings": found, "written": {"figure": self.out}})


def chosen_photographs(data: Path, views: Sequence[str]) -> dict[str, Path]:
    """The photographs of a scene that `--views` means, by their names; a number may be the name of one, too."""
    from ovs3d.data.dataparser import OVS3DDataParserConfig
    from ovs3d.data.layouts import read_scene
    from ovs3d.data.splits import spread_evenly
    from ovs3d.data.validation import training_images
    from ovs3d.errors import UserError
    from ovs3d.views import photograph_names

    posed = read_scene(data)
    paths = [view.image for view in posed.views]
    known = dict(zip(photograph_names(paths), paths, strict=True))
    counted = len(views) == 1 and views[0].isdecimal() and views[0] not in known
    if counted or len(views) == 0:
        images = training_images(OVS3DDataParserConfig(data=data), posed)
        spread = {images[index] for index in spread_evenly(int(views[0]) if counted else 3, len(images))}
        return {name: path for name, path in known.items() if path in spread}
    for name in views:
        if name not in known:
            raise UserError(f"{posed.source} has no photograph '{name}'; give the name of one, as {next(iter(known))}.")
    return {name: known[name] for name in views}
