"""A video encoder that knows no words, through both verbs: its head is trained on Ray and labels as an adapter."""

import numpy as np
import pytest

from nrray.console.reporter import Reporter
from nrray.labels import read_label_set
from nrray.models import ModelConfig
from nrray.pipelines.finetune.run import run_finetune
from nrray.pipelines.relabel.job import RelabelConfig
from nrray.pipelines.relabel.run import RelabelOptions, relabel
from nrray.results.domain import OutsideDomain
from nrray.storage import Folder
from nrray.train.output import finished_model_folder
from tests.checkpoints import vjepa2
from tests.pipelines.support import one_ray
from tests.pipelines.training_support import config_of, settings

SAMPLING = {
    "sampling__frames_per_second": 2.0,
    "sampling__window_seconds": 3.0,
    "sampling__frame_width_px": 64,
    "sampling__frame_height_px": 64,
}


@pytest.fixture(scope="module", autouse=True)
def _ray():
    with one_ray():
        yield


def test_its_head_is_trained_and_labels_as_an_adapter(annotated_archive, tmp_path):
    encoder = vjepa2(tmp_path / "encoder", read_label_set())
    trained = settings(
        annotated_archive,
        tmp_path / "finetuned",
        model__path=encoder,
        head__pooling="attention",
        training__num_steps=4,
        store__folder=tmp_path / "frames",
        **SAMPLING,
    )
    reporter = Reporter(is_json=True)
    finetuned = run_finetune(config_of(trained), reporter)
    assert finetuned.trained_model == finished_model_folder(tmp_path / "finetuned")
    labelled = relabel(
        RelabelConfig(
            manifest=str(trained["manifest"]),
            output=str(tmp_path / "labels"),
            label_set=str(trained["label_set"]),
            model=ModelConfig(path=str(encoder), adapter=str(finetuned.trained_model)),
            outside_domain=OutsideDomain.LABEL,  # two cases teach little of what others look like
        ),
        RelabelOptions(),
        reporter,
    )
    assert labelled.counts["ok"] == sum(labelled.counts.values()) > 0
    identity = Folder(str(tmp_path / "labels")).read_json("identity.json")
    assert identity["strategy"] == {"kind": "head", "prompt": None, "thresholds": "checkpoint", "applies_rules": True}
    labels = Folder(str(tmp_path / "labels/versions/v0001")).read_table("labels.parquet")
    scores = labels["score"].to_numpy()
    assert np.isfinite(scores).all()
    assert scores.std() > 1e-4
