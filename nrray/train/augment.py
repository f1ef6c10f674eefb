"""Random changes of a window's pixels that leave its activities as they are: mirror, turn, zoom, shift, colour, light,
tone, sharpness, noise. All frames of a window are changed alike, so that only the motion in the scene remains.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from nrray.models.frame_stacking import LUMA
from nrray.train.training_config import AugmentConfig

Drawn = Callable[..., torch.Tensor]
"""(limit, *shape) to (B, *shape) values between -limit and limit, on the frames' device."""

_GREY = torch.tensor(LUMA) / 256


def augmented(
    pixels: torch.Tensor,
    config: AugmentConfig,
    rng: np.random.Generator,
    *,
    channels: torch.Tensor,
    noise: torch.Generator | None = None,
) -> torch.Tensor:
    """(B, F, 3, H, W) float32 frames in [0, 1] to (B, F, K, H, W), changed by amounts that `rng` draws for each window;
    channels: (K, 3) weights of red, green and blue in each kept channel, once colours have changed; noise: torch's own where
    it is None."""
    batch, num_frames, _, height, width = pixels.shape
    device, num_channels = pixels.device, len(channels)

    def drawn(limit: float, *shape: int) -> torch.Tensor:
        return torch.from_numpy(rng.uniform(-limit, limit, (batch, *shape)).astype(np.float32)).to(device)

    contrast = 1 + drawn(config.max_gain, 1, 1)
    offset = 0.5 * (1 - contrast) + drawn(config.max_light, 1, 1)  # contrast is about mid-grey
    colours = channels @ (contrast * _colours(drawn, config))  # (B, K, 3)
    kept = colours[:, None] @ pixels.flatten(3) + (offset * channels.sum(dim=1, keepdim=True))[:, None]
    # Colours come first, so that the rest has fewer of them. A window's frames share one grid.
    frames = kept.reshape(batch, num_frames * num_channels, height, width)
    views = _views(drawn, config, flips=rng.random(batch) < config.flip_fraction)
    frames = _toned(frames, drawn, config, inverts=rng.random(batch) < config.invert_fraction)
    grid = torch.nn.functional.affine_grid(views, [batch, 1, height, width], align_corners=False)
    frames = torch.nn.functional.grid_sample(frames, grid, padding_mode="border", align_corners=False)
    blurred = torch.nn.functional.avg_pool2d(frames, 3, stride=1, padding=1, count_include_pad=False)
    changed = torch.lerp(blurred, frames, 1 + drawn(config.max_sharpness, 1, 1, 1))
    changed += drawn(config.max_noise, 1, 1, 1) * torch.randn(changed.shape, generator=noise, device=device)
    return changed.clamp_(0, 1).view(batch, num_frames, num_channels, height, width)


def _toned(frames: torch.Tensor, drawn: Drawn, config: AugmentConfig, *, inverts: NDArray[np.bool_]) -> torch.Tensor:
    """(B, K, H, W) frames with another tone curve, and of some windows the negative, as a thermal camera may show it."""
    gamma = drawn(config.max_gamma, 1, 1, 1).exp()
    toned = frames.clamp_(0, 1) if not config.max_gamma else frames.clamp_(1e-4, 1).pow_(gamma)
    is_negative = torch.from_numpy(inverts).to(frames.device)[:, None, None, None]
    return torch.where(is_negative, 1 - toned, toned) if inverts.any() else toned


def _views(drawn: Drawn, config: AugmentConfig, *, flips: NDArray[np.bool_]) -> torch.Tensor:
    """(B, 2, 3) where each output pixel is looked up."""
    turn = torch.deg2rad(drawn(config.max_turn_degrees))
    zoom = torch.exp(drawn(config.max_zoom))
    mirror = torch.where(torch.from_numpy(flips).to(turn.device), -1.0, 1.0)
    cosine, sine = zoom * torch.cos(turn), zoom * torch.sin(turn)
    linear = torch.stack([torch.stack([mirror * cosine, -sine], 1), torch.stack([mirror * sine, cosine], 1)], 1)
    shift = 2 * drawn(config.max_shift, 2, 1)  # the grid goes from -1 to 1
    return torch.cat([linear, shift], dim=2)


def _colours(drawn: Drawn, config: AugmentConfig) -> torch.Tensor:
    """(B, 3, 3) matrices: a turn of the hue around grey, saturation, and a gain of each colour."""
    hue = torch.deg2rad(drawn(config.max_hue_degrees, 1, 1))
    saturation = 1 + drawn(config.max_gain, 1, 1)
    identity = torch.eye(3, device=hue.device)
    cross = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]], device=hue.device) / 3**0.5
    # Rodrigues' rotation around the grey axis (1, 1, 1) / sqrt(3)
    turned = torch.cos(hue) * identity + torch.sin(hue) * cross + (1 - torch.cos(hue)) / 3
    grey = _GREY.to(hue.device).expand(3, 3)
    return (1 + drawn(config.max_gain, 3, 1)) * (saturation * turned + (1 - saturation) * grey @ turned)
