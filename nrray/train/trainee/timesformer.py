"""A TimeSformer from scratch, small and for frames as they are sampled: the baseline of the study."""

import torch
from transformers import TimesformerConfig, TimesformerModel, TimesformerVideoProcessor

from nrray.errors import ConfigError
from nrray.models.checkpoint import torch_device
from nrray.models.config import Execution
from nrray.models.families.family import LoadedCheckpoint
from nrray.models.families.timesformer import Timesformer
from nrray.sampling import Sampling
from nrray.train.training_config import TimesformerSection


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
