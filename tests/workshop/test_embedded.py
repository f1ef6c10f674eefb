import numpy as np
import pytest
import torch

from nrray.errors import ModelError
from nrray.labels import read_label_set
from nrray.models.measure import synthetic_frames
from nrray.models.metadata import CheckpointMetadata, trained_labels
from nrray.sampling import Sampling
from nrray.workshop.embedded import PROMPT, embedded_sentences, embedded_vlm, save_embedded
from nrray.workshop.recipe import window_scores
from nrray.workshop.tower import load_tower
from nrray.workshop.vlm import tokens_per_frame, trained_tokenizer, window_prompt_ids
from nrray.workshop.window_store import WindowSet
from tests.model_fixtures import labeler_of

LABELS = read_label_set()
SMALL = Sampling(frames_per_second=1.0, window_seconds=3.0, stride_seconds=1.0, frame_width_px=64, frame_height_px=64)


@pytest.fixture(scope="module")
def vlm(tmp_path_factory):
    """The embedded model, untrained, over a tower file with made-up weights."""
    import timm

    torch.manual_seed(0)
    published = timm.create_model("tf_efficientnet_lite0", num_classes=3).state_dict()
    renamed = {name.replace("classifier", "_fc"): tensor for name, tensor in published.items()}
    file = tmp_path_factory.mktemp("tower") / "tower.pth"
    torch.save(renamed, file)
    return embedded_vlm(tower_file=file, label_set=LABELS, captions=["A hand rubs."], sampling=SMALL, seed=0)


def test_a_tower_file_of_another_network_is_refused(vlm, tmp_path):
    file = tmp_path / "other.pth"
    torch.save({"weight": torch.zeros(3, 3)}, file)
    with pytest.raises(ModelError, match="found 1 tensors, expected the"):
        load_tower(vlm.model.model.vision_tower.timm_model, file)


def test_trunk_and_depthwise_kernels_are_frozen_and_all_else_is_trained(vlm):
    frozen = {name for name, parameter in vlm.model.named_parameters() if not parameter.requires_grad}
    tower = "model.vision_tower.timm_model."
    trunk = (f"{tower}conv_stem", f"{tower}bn1", *(f"{tower}blocks.{i}." for i in range(5)))
    expected = {n for n, _ in vlm.model.named_parameters() if n.startswith(trunk) or n.endswith("conv_dw.weight")}
    assert frozen == expected
    assert not any(parameter.requires_grad for parameter in vlm.trunk.parameters())


def test_the_tokenizer_knows_yes_and_no_and_gives_text_back():
    tokenizer = trained_tokenizer(embedded_sentences(LABELS))
    assert all(len(tokenizer.encode(word, add_special_tokens=False)) == 1 for word in (" yes", " no", "yes", "no"))
    assert tokenizer.decode(tokenizer.encode("Übermaß: 3 cm?")) == "Übermaß: 3 cm?"


def test_a_prompt_holds_every_frame_s_tokens(vlm):
    ids = window_prompt_ids(vlm, SMALL, num_frames=3, question=PROMPT)
    assert (ids == vlm.model.config.image_token_id).sum() == tokens_per_frame(SMALL) == 4  # three frames, one picture


def test_a_saved_model_scores_as_the_trained_one_does(vlm, tmp_path):
    unit = synthetic_frames(SMALL, num_windows=4)
    metadata = CheckpointMetadata(
        name="made-up",
        labels=trained_labels(LABELS),
        sampling=SMALL,
        prompt=PROMPT,
        frame_stacking=vlm.frame_stacking,
        pooling=vlm.head.pooling,
        thresholds=dict.fromkeys(LABELS.names, 0.5),
    )
    save_embedded(vlm, tmp_path, metadata=metadata, dtype=torch.float16)
    vlm.model.float()
    windows = WindowSet(
        pixels=torch.from_numpy(unit.pixels),
        window_frames=unit.window_frames.astype(np.int64),
        targets=np.zeros((4, 4), dtype=bool),
        cases=np.zeros(4, dtype=np.int64),
        captions=np.full(4, "A hand rubs."),
    )
    trained = window_scores(vlm, windows, prompt_ids=window_prompt_ids(vlm, SMALL, num_frames=3, question=PROMPT))
    labelled = labeler_of(tmp_path, LABELS).label(unit).scores
    np.testing.assert_allclose(labelled, trained, atol=2e-3)
