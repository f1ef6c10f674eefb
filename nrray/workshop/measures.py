"""What a model says of held-out windows, as they are and changed: captions, yes or no, and agreement beyond chance."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from nrray.sampling import Sampling
from nrray.workshop.recipe import window_embeds, window_images, window_states
from nrray.workshop.vlm import CAPTION_PROMPT, TrainableVlm, window_prompt_ids
from nrray.workshop.window_store import WindowSet

_CAPTION_TOKENS = 64


def changed_windows(windows: WindowSet) -> dict[str, WindowSet]:
    """The same windows, with frames in another order, or without anything to see."""
    random = np.random.default_rng(0)
    grey = torch.full((1, *windows.pixels.shape[1:]), 127, dtype=torch.uint8, device=windows.pixels.device)
    middle = windows.window_frames[:, [windows.window_frames.shape[1] // 2]]
    return {
        "as filmed": windows,
        "shuffled": replace(windows, window_frames=random.permuted(windows.window_frames, axis=1)),
        "reversed": replace(windows, window_frames=windows.window_frames[:, ::-1]),
        "one frame repeated": replace(windows, window_frames=np.repeat(middle, windows.window_frames.shape[1], axis=1)),
        "blank": replace(windows, pixels=grey, window_frames=np.zeros_like(windows.window_frames)),
    }


def captions_of(vlm: TrainableVlm, windows: WindowSet, *, sampling: Sampling) -> list[str]:
    """Greedy captions."""
    num_frames = windows.window_frames.shape[1]
    prompt_ids = window_prompt_ids(vlm, sampling, num_frames=num_frames, question=CAPTION_PROMPT)
    captions: list[str] = []
    with torch.inference_mode():
        for images, token_ids in window_batches(vlm, windows, prompt_ids):
            embeds = window_embeds(vlm, images, token_ids)
            generated = vlm.model.generate(
                inputs_embeds=embeds,
                attention_mask=torch.ones(embeds.shape[:2], dtype=torch.long, device=embeds.device),
                max_new_tokens=_CAPTION_TOKENS,
                do_sample=False,
            )
            captions += vlm.processor.tokenizer.batch_decode(generated, skip_special_tokens=True)
    return captions


def says_yes(vlm: TrainableVlm, windows: WindowSet, *, prompt_ids: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(W,) whether yes is likelier than no as the first word of the answer about each window."""
    tokenizer = vlm.processor.tokenizer
    yes, no = (tokenizer.encode(word, add_special_tokens=False)[0] for word in ("yes", "no"))
    said = []
    with torch.inference_mode():
        for images, token_ids in window_batches(vlm, windows, prompt_ids):
            states = window_states(vlm, images, token_ids=token_ids)
            logits = vlm.model.lm_head(states.hidden[:, -1])
            said.append((logits[:, yes] > logits[:, no]).cpu().numpy())
    answers: NDArray[np.bool_] = np.concatenate(said)
    return answers


def kappa_of(ours: NDArray[np.str_], theirs: NDArray[np.str_]) -> dict[str, float]:
    """The share of claims that are right, the share that would be by chance with the same frequencies, and Cohen's kappa."""
    right = float((ours == theirs).mean())
    chance = float(sum((ours == name).mean() * (theirs == name).mean() for name in np.unique(theirs)))
    return {"right": right, "chance": chance, "kappa": (right - chance) / (1 - chance) if chance < 1 else 0.0}


def window_batches(
    vlm: TrainableVlm, windows: WindowSet, prompt_ids: NDArray[np.int64], batch_windows: int = 64
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Images and tokens of all windows, in order."""
    tokens = torch.from_numpy(prompt_ids).to(vlm.device)
    for start in range(0, len(windows.targets), batch_windows):
        rows = np.arange(start, min(start + batch_windows, len(windows.targets)))
        yield window_images(vlm, windows, rows), tokens.expand(len(rows), -1)
