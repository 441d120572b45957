"""The configuration of a run: the host's, plus the flags that users type, checked before anything is written."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from nerfstudio.engine.trainer import Trainer, TrainerConfig
from nerfstudio.utils.rich_utils import CONSOLE
from nerfstudio.viewer.viewer import Viewer

from ovs3d.errors import UserError, ending_the_program
from ovs3d.field.backbones import check_backbone
from ovs3d.native.memory import keep_freed_memory
from ovs3d.pipeline import OVS3DPipeline, OVS3DPipelineConfig
from ovs3d.run_folder import discard_run
from ovs3d.schedulers import StageSchedulerConfig

GEOMETRY_GROUPS = ("proposal", "planes", "texture", "networks")
TRAINING_SHARE = 0.92
"""Of the time while somebody looks on: a little more than the host's, so that square pictures slow a step by 9 %."""


@dataclass
class OVS3DTrainerConfig(TrainerConfig):
    """Host's configuration with the flags of the method on top."""

    _target: type = field(default_factory=lambda: OVS3DTrainer)
    pipeline: OVS3DPipelineConfig = field(default_factory=OVS3DPipelineConfig)  # pyright: ignore[reportIncompatibleVariableOverride]
    classes: tuple[str, ...] = ()
    """Words to segment, "name" or "name: prompt | prompt"; by default those of DATA/classes.txt."""
    encoder: str = "ViT-B-16:laion2b_s34b_b88k"
    """Image-text encoder of open_clip: MODEL:PRETRAINED, MODEL:/path/to/checkpoint, hf-hub:ORG/NAME, or tiny-clip."""
    dino: str = "vit_small_patch8_224_dino"
    """Patch encoder: a timm DINO ViT, NAME:/path/to/checkpoint, or tiny-dino."""
    teachers: tuple[str, ...] = ("clip-dense", "dino")
    """What supervises: one of clip-dense, clip-crops, files; and optionally dino."""
    features: Path | None = None
    """Folder of features computed by another program; implies the teacher `files`."""
    templates: tuple[str, ...] = ()
    """Sentences with {} for the word, averaged: "a photo of {}." ..., or photo for eight of them; else bare words."""
    geometry_steps: int = 10_000
    """Steps of the geometry stage; the rest of --max-num-iterations trains the semantics."""
    load_geometry: Path | None = None
    """Start from the geometry of this run (its folder or config.yml) and train the semantics alone."""

    def set_timestamp(self) -> None:
        """The first thing that `ns-train` calls: bad input ends here, before anything is printed or written."""
        with ending_the_program():
            self.prepare()
        super().set_timestamp()

    def setup(self, **kwargs: Any) -> Any:
        """Host's set-up of the trainer, on a prepared configuration."""
        with ending_the_program():
            self.prepare()
        return super().setup(**kwargs)

    def prepare(self) -> None:
        """Checks the input and writes what the flags mean into the nested configuration; safe to call twice.

        Raises:
            UserError: something that the user can mend.
        """
        from ovs3d.checkpoints import check_resume
        from ovs3d.preflight import describe_teachers, read_classes
        from ovs3d.teachers.text import resolve_templates

        manager, model = self.pipeline.datamanager, self.pipeline.model
        if self.data is not None:
            manager.data = self.data
        if self.features is not None and "files" not in self.teachers:
            self.teachers = ("files",)  # Without a patch encoder FDA is off.
            CONSOLE.log("--features is given: teachers are files alone; add --teachers files dino for FDA")
        manager.encoder, manager.patch_encoder = self.encoder, self.dino
        manager.teachers, manager.features = self.teachers, self.features
        manager.templates = self.templates = resolve_templates(self.templates)
        classes = read_classes(manager, self.classes)
        self.classes = tuple(f"{name}: {' | '.join(texts)}" for name, texts in classes)
        model.classes = tuple(name for name, _ in classes)
        self.pipeline.prompts = tuple(texts for _, texts in classes)
        self.pipeline.seed = self.machine.seed
        model.feature_dim, model.scales, model.patch_dim = describe_teachers(manager, self.pipeline.prompts)
        if self.geometry_steps < 0:
            raise UserError(f"--geometry-steps {self.geometry_steps} is less than 0; give 0 or more.")
        if self.load_geometry is not None:
            self.load_geometry = self.take_geometry(self.load_geometry)
        check_backbone(model.backbone, self.machine.device_type)
        if self.geometry_steps > self.max_num_iterations:
            raise UserError(
                f"--geometry-steps {self.geometry_steps} is more than --max-num-iterations {self.max_num_iterations}; "
                "the first is part of the second."
            )
        check_resume(self)
        model.geometry_steps = self.geometry_steps
        self.set_schedules()

    def take_geometry(self, run: Path) -> Path:
        """Takes the sizes of another run's geometry over, and its steps off; returns that run's `config.yml`."""
        from ovs3d.data.dataparser import OVS3DDataParserConfig
        from ovs3d.data.validation import check_geometry_fits
        from ovs3d.preflight import read_geometry

        if self.geometry_steps >= self.max_num_iterations:
            raise UserError(
                f"--max-num-iterations {self.max_num_iterations} leaves no step for the semantics after "
                f"--geometry-steps {self.geometry_steps}; raise the first, beside the other flags of the run: "
                f"ns-train {self.method_name} --data {self.pipeline.datamanager.data} --load-geometry {run} "
                "--max-num-iterations STEPS."
            )
        path, geometry = read_geometry(run)
        parser, trained = self.pipeline.datamanager.dataparser, geometry.pipeline.datamanager.dataparser
        if isinstance(trained, OVS3DDataParserConfig) and isinstance(parser, OVS3DDataParserConfig):
            check_geometry_fits(path.parent, trained, parser)
        sizes = ("near", "far", "backbone", "proposal_resolution", "proposal_samples", "field_samples",
                 "coloured_samples", "plane_resolutions", "plane_channels", "texture_resolutions",
                 "texture_log2_size", "hidden_dim")  # fmt: skip
        for name in sizes:
            setattr(self.pipeline.model, name, getattr(geometry.pipeline.model, name))
        self.max_num_iterations -= self.geometry_steps
        self.geometry_steps = 0
        return path

    def set_schedules(self) -> None:
        """Gives every schedule the borders of its stage."""
        for name, group in self.optimizers.items():
            schedule = group["scheduler"]
            if isinstance(schedule, StageSchedulerConfig):
                first = name in GEOMETRY_GROUPS
                schedule.start = 0 if first else self.geometry_steps
                schedule.stop = self.geometry_steps if first else self.max_num_iterations


class OVS3DTrainer(Trainer):
    """Host's trainer; resumes to the configured number of steps, and can start from another run's geometry."""

    config: OVS3DTrainerConfig
    pipeline: OVS3DPipeline  # pyright: ignore[reportIncompatibleVariableOverride]

    def setup(self, test_mode: Literal["test", "val", "inference"] = "val") -> None:
        """Host's set-up; if it fails, what the host has written of the run by then is removed."""
        try:
            with ending_the_program():
                super().setup(test_mode)
        except BaseException:  # Also Ctrl-C.
            if self.local_rank == 0:
                discard_run(self.base_dir)
            raise

    def _load_checkpoint(self) -> None:
        """Host's loading, or the geometry of another run."""
        if self.config.load_geometry is not None and self.config.load_dir is None:
            from ovs3d.checkpoints import load_geometry_state

            load_geometry_state(self.pipeline.model, self.config.load_geometry)
            CONSOLE.log(f"Geometry comes from {self.config.load_geometry}", markup=False)
            return
        super()._load_checkpoint()

    def _init_viewer_state(self) -> None:
        """Host's, with a share of the time of our own for pictures."""
        super()._init_viewer_state()
        if isinstance(self.viewer_state, Viewer):
            self.viewer_state.train_util = TRAINING_SHARE

    def train(self) -> None:
        """Trains to `max_num_iterations` in all, resumed or not."""
        if self.device == "cpu":
            keep_freed_memory()
        total = self.config.max_num_iterations
        self.config.max_num_iterations = total - self._start_step
        try:
            with ending_the_program():
                super().train()
        finally:
            self.config.max_num_iterations = total
