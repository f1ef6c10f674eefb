"""A TimeSformer that is trained whole: the baseline of the study, from a checkpoint or small and from scratch."""

from pathlib import Path

import torch
from transformers import TimesformerConfig, TimesformerModel, TimesformerVideoProcessor

from nrray.errors import ConfigError
from nrray.models.checkpoint import torch_device
from nrray.models.config import Execution
from nrray.models.families.family import LoadedCheckpoint
from nrray.models.families.timesformer import Timesformer
from nrray.models.head import Head, save_head
from nrray.models.metadata import Pooling
from nrray.sampling import Sampling
from nrray.train.trainee.module import TunedModule
from nrray.train.training_config import TimesformerSection

READABLE = (Pooling.MEAN_FRAMES, Pooling.ATTENTION)  # it has no prompt whose last token could be read


class TunedClassifier(TunedModule):
    """A TimeSformer that is trained whole. `unfreezing` is the share of the training over which its layers begin to
    learn, the last ones first (Howard and Ruder 2018); 0: all at once."""

    def __init__(self, checkpoint: LoadedCheckpoint, head: Head, *, unfreezing: float) -> None:
        super().__init__(checkpoint, head)
        self.model = checkpoint.model.requires_grad_(True)
        layers = [checkpoint.family.stem(self.model), *checkpoint.family.layers(self.model)]
        self._starts = {
            id(parameter): unfreezing * (len(layers) - 1 - number) / (len(layers) - 1)
            for number, layer in enumerate(layers)
            for parameter in layer.parameters()
        }

    def part_of(self, name: str) -> str:
        """Head, or the rest: each has a learning rate of its own."""
        return "head" if name.startswith("head.") else "whole"

    def start_of(self, name: str) -> float:
        """Share of the training after which a tensor begins to learn."""
        return self._starts.get(id(self.get_parameter(name)), 0.0)  # head and norm stand behind the last layer

    def save(self, folder: Path) -> None:
        """Write model, processor and head as they are loaded for labelling."""
        self.model.save_pretrained(folder)
        self._checkpoint.processor.save_pretrained(folder)
        save_head(self.head, folder)


def fresh_timesformer(
    section: TimesformerSection, sampling: Sampling, execution: Execution, *, seed: int
) -> LoadedCheckpoint:
    """A TimeSformer with random weights, the same for one seed. Raises ConfigError where frames do not fit it."""
    side = sampling.frame_width_px
    if side != sampling.frame_height_px or side % section.patch_px:
        raise ConfigError(
            f"timesformer: found frames of {side}x{sampling.frame_height_px} px, expected square ones whose side is a multiple "
            f"of patch_px={section.patch_px}. Set sampling.frame_width_px and frame_height_px."
        )
    if section.hidden_size % section.num_heads:
        raise ConfigError(
            f"timesformer: hidden_size={section.hidden_size} is no multiple of num_heads={section.num_heads}."
        )
    torch.manual_seed(seed)
    model = TimesformerModel(
        TimesformerConfig(
            image_size=side,
            patch_size=section.patch_px,
            num_frames=sampling.frames_per_window,
            hidden_size=section.hidden_size,
            num_hidden_layers=section.num_layers,
            num_attention_heads=section.num_heads,
            intermediate_size=4 * section.hidden_size,
        )
    )
    device = torch_device(execution.device)
    if device.type == "cpu":
        torch.set_num_threads(execution.num_threads)
    return LoadedCheckpoint(
        name="timesformer",
        family=Timesformer(),
        model=model.to(device),
        processor=TimesformerVideoProcessor(
            size={"shortest_edge": side},
            crop_size={"height": side, "width": side},
            do_resize=False,
            do_center_crop=False,
        ),
        device=device,
        dtype=torch.float32,
    )
