"""Whether an adapter fits its checkpoint, told by names and shapes before a weight is read."""

import torch
from peft import PeftConfig, get_peft_model
from peft.utils import get_peft_model_state_dict

from nrray.errors import ModelError
from nrray.models.adapters import check_tensors, quiet_peft, saved_shapes
from nrray.models.checkpoint import LOADING_ERRORS, outlined_checkpoint
from nrray.models.head import load_head
from nrray.models.metadata import MATRICES_FILE
from nrray.models.resolved import ResolvedCheckpoint


def check_adapter(resolved: ResolvedCheckpoint) -> None:
    """Raise ModelError where a tensor of the adapter is missing, has no place or another shape in its base, or its head reads
    states of another width: before nodes read gigabytes and one after another find that out."""
    if resolved.metadata is None or resolved.adapter is None:
        return
    folder, checkpoint = resolved.head_folder, outlined_checkpoint(resolved)
    load_head(folder, metadata=resolved.metadata, hidden_size=checkpoint.family.hidden_size(checkpoint.model))
    if not resolved.metadata.has_matrices:
        return
    saved = saved_shapes(folder / MATRICES_FILE)
    try:
        config = PeftConfig.from_pretrained(str(folder))
        with torch.device("meta"), quiet_peft():
            adapted = get_peft_model(checkpoint.model, config)
    except LOADING_ERRORS as error:
        raise ModelError(
            f"adapter {folder} does not fit {resolved.path}: {type(error).__name__}: {error}. Expected adapter_config.json and "
            f"{MATRICES_FILE} of this base; use the base and the versions that it was trained with."
        ) from error
    check_tensors(folder, saved=saved, placed=get_peft_model_state_dict(adapted))
