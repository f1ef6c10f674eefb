"""Checkpoints as they come from a hub, of fifteen families: doctor, relabel and finetune without a word about sampling, each of
which works or says why not. Three families stand for all; the others are `slow`."""

import json
import re
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from nrray.labels import read_label_set
from nrray.models.families import video_encoder_types
from nrray.train.output import is_adapter_folder, trained_model_folder
from tests.checkpoints import CHECKPOINTS, ENCODERS
from tests.more_checkpoints import MORE_CHECKPOINTS
from tests.pipelines.support import nrray, words
from tests.pipelines.training_support import settings

FAMILIES = {**CHECKPOINTS, **MORE_CHECKPOINTS, **ENCODERS}
QUICK = ("qwen2_5_vl", "llava", "videomae")
families = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in FAMILIES]
)


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """A function from a family's name to its tiny checkpoint, as it is published."""
    made: dict[str, Path] = {}

    def folder_of(name: str) -> Path:
        if name not in made:
            made[name] = FAMILIES[name](tmp_path_factory.mktemp(name) / name, read_label_set())
        return made[name]

    return folder_of


@families
def test_a_hub_checkpoint_works_at_first_contact_or_says_why_not(name, hub, annotated_archive, tmp_path):
    folder, knows_words = hub(name), name not in video_encoder_types()
    places = {"manifest": annotated_archive / "scan/manifest.parquet", "model__path": folder}

    examined = nrray("doctor", "--model", str(folder), "--label-set", str(annotated_archive / "labels.yaml"))
    labelled = nrray(
        "relabel", *words(**places, output=tmp_path / "labels", label_set=annotated_archive / "labels.yaml")
    )
    if knows_words:
        assert examined.returncode == 0, examined.stderr
        assert re.search(r"tokens per window +\d", examined.stdout)
        # Random weights answer nonsense, which may be told by an exit code of its own.
        assert labelled.returncode in (0, 3), labelled.stderr
        assert re.search(r"A window is \d+ frames of \d+x\d+ px, .*: [\d,]+ tokens a window", one_line(labelled.stdout))
        assert pq.read_table(tmp_path / "labels/latest/coverage.parquet")["status"].to_pylist().count("ok") > 0
    else:
        for refused in (examined, labelled):
            assert refused.returncode == 1
            assert "knows no words and has no head of nrray, expected one of the two. Train it with" in refused.stderr

    tuned = nrray(
        "finetune",
        *words(
            **settings(
                annotated_archive,
                tmp_path / "tuned",
                model__path=folder,
                store__folder=tmp_path / "frames",
                training__num_steps=8,
                training__head_learning_rate=0.1,
            )
        ),
    )
    assert "Traceback" not in tuned.stderr
    assert re.search(r"A window is \d+ frames", one_line(tuned.stdout))
    if tuned.returncode == 1:  # of random weights there may be nothing to learn
        assert "Nothing was learned: no step was better than none" in one_line(tuned.stdout)
        assert not (tmp_path / "tuned/adapter").exists()
        return
    assert tuned.returncode == 0, tuned.stderr
    trained = trained_model_folder(tmp_path / "tuned")  # an adapter, or a small encoder as a whole
    model = {"model__adapter": trained} if is_adapter_folder(trained) else {"model__path": trained}
    again = nrray(
        "relabel",
        "--dry-run",
        *words(
            **{
                **places,
                "output": tmp_path / "labels-tuned",
                "label_set": annotated_archive / "labels.yaml",
                **model,
            }
        ),
    )
    assert again.returncode == 0, again.stderr


def one_line(text):
    return " ".join(text.split())


def test_an_adapter_that_does_not_fit_is_refused_by_relabel_and_doctor_before_anything_starts(
    annotated_archive, tmp_path
):
    label_set = read_label_set(str(annotated_archive / "labels.yaml"))
    base = FAMILIES["fast_vlm"](tmp_path / "base", label_set)
    other = FAMILIES["fast_vlm"](tmp_path / "other", label_set)
    trained = nrray(
        "finetune",
        *words(
            **settings(
                annotated_archive,
                tmp_path / "tuned",
                model__path=base,
                store__folder=tmp_path / "frames",
                training__num_steps=8,
                training__head_learning_rate=0.1,
            )
        ),
    )
    left = tmp_path / "tuned" / ("adapter" if trained.returncode == 0 else "nothing-learned/adapter")
    config = left / "adapter_config.json"
    document = json.loads(config.read_text())
    config.write_text(json.dumps({**document, "target_modules": ["deepstack"], "modules_to_save": None}))
    description = json.loads((left / "nrray.json").read_text())
    (left / "nrray.json").write_text(json.dumps({**description, "files": {}}))  # nobody vouches for them any more
    manifest = annotated_archive / "scan/manifest.parquet"
    labels = words(
        manifest=manifest,
        output=tmp_path / "labels",
        model__path=base,
        model__adapter=left,
        label_set=annotated_archive / "labels.yaml",
    )
    for found in (
        nrray("relabel", "--dry-run", *labels),
        nrray("doctor", "--model", str(base), "--adapter", str(left)),
    ):
        assert found.returncode == 1
        assert "does not fit" in found.stderr
        assert "deepstack" in found.stderr
    (other / "config.json").write_text((other / "config.json").read_text() + " ")
    found = nrray("doctor", "--model", str(other), "--adapter", str(left))
    assert found.returncode == 1
    assert "Set model.path to the checkpoint that it was trained on" in found.stderr


def test_another_number_of_frames_than_an_encoder_takes_is_refused_before_frames_are_extracted(
    annotated_archive, tmp_path
):
    folder = FAMILIES["videomae"](tmp_path / "videomae", read_label_set())
    places = settings(annotated_archive, tmp_path / "tuned", model__path=folder, store__folder=tmp_path / "frames")
    found = nrray("finetune", *words(**places, sampling__frames_per_second=4.0, sampling__window_seconds=2.0))
    assert found.returncode == 1
    assert "found windows of 8 frames, expected the 6 that its positions are made for" in found.stderr
    assert not (tmp_path / "frames").exists()
    shutil.rmtree(tmp_path / "tuned", ignore_errors=True)


def test_an_output_keeps_its_windows_when_videos_of_another_size_join_the_archive(annotated_archive, tmp_path):
    folder = FAMILIES["qwen2_5_vl"](tmp_path / "qwen", read_label_set())
    places = {"model__path": folder, "output": tmp_path / "labels", "label_set": annotated_archive / "labels.yaml"}
    begun = nrray("relabel", "--limit", "1", *words(**places, manifest=annotated_archive / "scan/manifest.parquet"))
    assert begun.returncode in (0, 3), begun.stderr
    table = pq.read_table(annotated_archive / "scan/manifest.parquet")
    turned = table.set_column(table.column_names.index("width_px"), "width_px", table["height_px"])
    turned = turned.set_column(table.column_names.index("height_px"), "height_px", table["width_px"])
    pq.write_table(turned, tmp_path / "turned.parquet")
    again = nrray("relabel", "--dry-run", *words(**places, manifest=tmp_path / "turned.parquet"))
    assert again.returncode == 0, again.stderr
    sizes = [re.search(r"frames of (\d+x\d+) px", one_line(found.stdout))[1] for found in (begun, again)]
    assert sizes[0] == sizes[1]
    elsewhere = nrray(
        "relabel", "--dry-run", *words(**{**places, "output": tmp_path / "new"}, manifest=tmp_path / "turned.parquet")
    )
    assert re.search(r"frames of (\d+x\d+) px", one_line(elsewhere.stdout))[1] != sizes[0]
