"""A training in cycles: the same recipe again, from the weights that the cycle before it left (warm restarts: Loshchilov and
Hutter 2017). What a cycle leaves is kept, so that a second run goes on behind it, with the same weights up to rounding.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nrray.workshop.dialogue import Dialogues
from nrray.workshop.embedded import HeadedVlm
from nrray.workshop.recipe import RecipeConfig, TrainingRecord, train_vlm
from nrray.workshop.run_facts import print_loss
from nrray.workshop.window_store import WindowSet

WEIGHTS_FILE, RECORD_FILE = "weights.pt", "record.json"


def train_in_cycles(
    vlm: HeadedVlm, windows: WindowSet, config: RecipeConfig, *, num_cycles: int, dialogues: Dialogues, work: Path
) -> TrainingRecord:
    """Train `vlm` in place; the record of all cycles. Cycle k has the seed `config.seed` + k. Weights are rounded at the end of
    each as they will be stored. A cycle that stands in `work`, made of the same windows by the same recipe, is not trained
    again."""
    records = []
    shown = {"windows": _digest(windows), "frame_stacking": vlm.frame_stacking.value}
    for cycle in range(num_cycles):
        recipe = config.model_copy(update={"seed": config.seed + cycle})
        made_of = {**shown, "recipe": recipe.model_dump(mode="json")}

        def learned(recipe: RecipeConfig = recipe, is_new: bool = cycle == 0) -> TrainingRecord:
            report = print_loss(recipe.num_steps)
            return train_vlm(vlm, windows, recipe, dialogues=dialogues, report=report, is_new=is_new)

        records.append(_kept_or_trained(vlm, work / f"cycle-{cycle}", made_of, learned))
    return TrainingRecord(
        losses=[loss for record in records for loss in record.losses],
        windows_seen=sum(record.windows_seen for record in records),
        seconds=sum(record.seconds for record in records),
    )


def _kept_or_trained(
    vlm: HeadedVlm, folder: Path, made_of: Mapping[str, Any], learned: Callable[[], TrainingRecord]
) -> TrainingRecord:
    """The record of a cycle of an earlier run that was made of the same, whose weights `vlm` then has, or of `learned()`, which
    trains it."""
    if (folder / RECORD_FILE).is_file():
        kept = json.loads((folder / RECORD_FILE).read_text(encoding="utf-8"))
        if kept["made_of"] == made_of:
            weights = torch.load(folder / WEIGHTS_FILE, map_location=vlm.device, weights_only=True)
            vlm.model.load_state_dict(weights["model"])
            vlm.head.load_state_dict(weights["head"])
            return TrainingRecord(**kept["record"])
    record = learned()
    vlm.model.half().float()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / RECORD_FILE).unlink(missing_ok=True)  # written last: it says that the weights are whole
    torch.save({"model": vlm.model.state_dict(), "head": vlm.head.state_dict()}, folder / WEIGHTS_FILE)
    (folder / RECORD_FILE).write_text(json.dumps({"made_of": made_of, "record": asdict(record)}), encoding="utf-8")
    return record


def _digest(windows: WindowSet) -> str:
    """Of all but the pixels, of which there are gigabytes: frames that are drawn anew come with another truth."""
    found = hashlib.sha256(json.dumps(list(windows.pixels.shape)).encode())
    for array in (windows.window_frames, windows.targets, windows.cases, windows.captions):
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()
