"""Features of windows, as a checkpoint's tower sees them: what looks are fitted to."""

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray

from nrray.models.families.blocks import block_to_watch
from nrray.models.families.family import LoadedCheckpoint
from nrray.models.families.tower_moments import moments_of, outputs_of


def tower_features(checkpoint: LoadedCheckpoint, windows: Iterable[dict[str, torch.Tensor]]) -> NDArray[np.float32]:
    """(N, 2C) means and standard deviations, over all places of a window, of the C channels that the watched block
    of the tower puts out; windows: the processor's tensors of one window each."""
    found, block = [], block_to_watch(checkpoint.family.tower(checkpoint.model))
    with torch.inference_mode(), outputs_of(block) as outputs:
        for inputs in windows:
            outputs.clear()
            checkpoint.family.hidden_states(checkpoint, {name: t.to(checkpoint.device) for name, t in inputs.items()})
            moments = moments_of(outputs, count=1)
            assert moments is not None  # the tower was run
            found.append(moments.features().cpu().numpy())
    features: NDArray[np.float32] = np.concatenate(found)
    return features
