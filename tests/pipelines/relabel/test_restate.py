"""Answers of a ledger read again: no Ray, no model."""

import hashlib
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from nrray.cli import main
from nrray.console.reporter import Reporter
from nrray.errors import ConfigError, DataError, IdentityError
from nrray.models.strategies.answers import scored_answer
from nrray.pipelines.relabel.job import resolved_job
from nrray.pipelines.relabel.restate import restate
from nrray.results.coverage_table import coverage_rows
from nrray.results.identity import bind_identity
from nrray.results.ledger import Ledger
from nrray.results.publish import VersionTables, write_version
from nrray.results.segments import SegmentRule
from nrray.results.version import VersionKind, latest_record, read_version_record
from nrray.results.version_tables import label_rows, segment_rows
from nrray.storage import Folder
from tests.made_answers import LABELS, VIDEOS, answered, config
from tests.made_tables import unit_results
from tests.made_versions import merge_provenance, provenance

QUIET = Reporter(is_json=True)


def states(output: Folder, version="v0001"):
    labels = pq.read_table(output.path(f"versions/{version}/labels.parquet")).to_pylist()
    found = {row["activity"]: row["state"] for row in labels}
    return {name: found[name] for name in LABELS.names}


def test_answers_are_read_by_the_parser_of_now_and_published_without_ray(tmp_path):
    made = config(tmp_path)
    output = answered(made, ["yes", "No.", "perhaps", "yes"])
    done = restate(made, QUIET)
    assert states(output) == {
        "baby_visible": "present",
        "ventilation": "absent",
        "stimulation": "unparsed",
        "suction": "present",
    }
    answers = pq.read_table(output.path("versions/v0001/answers.parquet")).to_pylist()
    assert {(row["question"], row["answer"], row["state"]) for row in answers} == {
        ("baby_visible", "yes", "present"),
        ("ventilation", "No.", "absent"),
        ("stimulation", "perhaps", "unparsed"),
        ("suction", "yes", "present"),
    }
    record = read_version_record(output / "versions" / "v0001")
    assert (record.kind, record.parents, record.ray_version) == (VersionKind.RESTATE, (), None)
    assert record.unparsed_share == 0.25
    asked = record.identity.strategy["prompts"]["suction"]
    assert record.prompt_digests["suction"] == hashlib.sha256(asked.encode()).hexdigest()
    assert set(record.prompt_digests) == set(LABELS.names)
    assert done.has_too_many_unparsed
    scores = pq.read_table(output.path("versions/v0001/labels.parquet"))["score"].to_pylist()
    assert scores == pytest.approx([0.6] * len(scores))  # of spoken answers, which no text tells


def test_thresholds_and_rules_of_now_are_those_of_the_new_version(tmp_path):
    output = answered(config(tmp_path), ["yes", "yes", "no", "yes"])
    restate(config(tmp_path), QUIET)
    restate(config(tmp_path, segments=SegmentRule(thresholds={"stimulation": 0.55})), QUIET)
    restate(config(tmp_path, strategy={"kind": "yes_no", "rules": "applied"}), QUIET)
    assert [states(output, version)["stimulation"] for version in ("v0001", "v0002", "v0003")] == [
        "absent",
        "present",
        "absent",
    ]
    ruled = {"baby_visible": "present", "ventilation": "unsure", "stimulation": "absent", "suction": "unsure"}
    assert states(output, "v0003") == ruled
    assert latest_record(output).version == "v0003"


def test_scores_that_stand_in_the_answers_are_read_again_too(tmp_path):
    scored = {"kind": "yes_no", "answer_tokens": 0}
    texts = [scored_answer(("yes", "no"), pair) for pair in ([0.9, 0.0], [0.2, 0.6], [0.1, 0.3], [0.3, 0.3])]
    output = answered(config(tmp_path, strategy=scored), texts)
    restate(config(tmp_path, strategy=scored), QUIET)
    moved = {"suction": {"intercept": -1.0}}
    restate(config(tmp_path, strategy={**scored, "min_label_mass": 0.2, "calibration": moved}), QUIET)
    before, after = states(output, "v0001"), states(output, "v0002")
    assert list(before.values()) == ["present", "absent", "unparsed", "present"]
    assert list(after.values()) == ["present", "absent", "absent", "absent"]
    scores = {
        row["activity"]: row["score"] for row in pq.read_table(output.path("versions/v0002/labels.parquet")).to_pylist()
    }
    assert scores["ventilation"] == pytest.approx(0.25)
    assert scores["suction"] == pytest.approx(0.2689, abs=1e-3)


def test_the_same_reading_is_published_once(tmp_path):
    output = answered(config(tmp_path), ["yes"] * 4)
    assert restate(config(tmp_path), QUIET).published is not None
    assert restate(config(tmp_path), QUIET).published is None
    assert (output / "versions").names() == ["v0001"]


def test_failed_units_stay_failed(tmp_path):
    output = answered(config(tmp_path), ["yes"] * 4, failed=1)
    done = restate(config(tmp_path), QUIET)
    assert done.counts["failed"] == 1
    coverage = pq.read_table(output.path("versions/v0001/coverage.parquet"))["status"].to_pylist()
    assert set(coverage) == {"ok", "failed"}


@pytest.mark.parametrize(
    ("changed", "key"),
    [
        ({"strategy": {"kind": "yes_no", "instruction": "Say yes or no."}}, "strategy.prompts.ventilation"),
        ({"strategy": {"kind": "yes_no", "rules": "told"}}, "strategy.prompts.ventilation"),
        ({"strategy": {"kind": "list"}}, "strategy.kind"),
        ({"sampling": {"stride_seconds": 2.0}}, "sampling.stride_seconds"),
        ({"strategy": {"kind": "yes_no", "temperature": 0.5}}, "strategy.decoding"),
        ({"model": {"path": "embedded-base"}}, "model"),
    ],
)
def test_answers_of_other_prompts_models_or_windows_are_refused(tmp_path, changed, key):
    answered(config(tmp_path), ["yes"] * 4)
    with pytest.raises(IdentityError, match=rf"has answers of other settings(.|\n)*  {key}"):
        restate(config(tmp_path, **changed), QUIET)


def test_a_label_set_of_other_rules_reads_the_same_answers_and_one_of_other_activities_does_not(tmp_path):
    output = answered(config(tmp_path), ["yes"] * 4)
    job = resolved_job(config(tmp_path))
    results = Ledger(output).results(pa.array([each.video_id for each in VIDEOS]), Ledger(output).index())
    paths = {each.video_id: each.path for each in VIDEOS}
    labels = label_rows(results, paths=paths, activities=LABELS.names, source="m")
    segments = segment_rows(labels, paths=paths, activities=LABELS.names, rule=SegmentRule(), source="m")
    tables = VersionTables(labels=labels, segments=segments, coverage=coverage_rows(results, paths=paths, source="m"))
    write_version(output, provenance(label_set=LABELS, identity=job.identity), [tables])
    document = yaml.safe_load(LABELS.model_dump_json())
    document["rules"]["exclusive"] = [["stimulation", "suction"]]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(document))
    ruled = config(tmp_path, label_set=str(tmp_path / "rules.yaml"), strategy={"kind": "yes_no", "rules": "applied"})
    restate(ruled, QUIET)
    assert list(states(output, "v0002").values()) == ["present", "present", "unsure", "unsure"]
    document["activities"].reverse()
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(document))
    with pytest.raises(
        DataError, match=r"found answers about \['baby_visible', .*expected the label set's \['suction'"
    ):
        restate(ruled, QUIET)


def test_what_people_corrected_stays_the_latest(tmp_path):
    output = answered(config(tmp_path), ["yes"] * 4)
    restate(config(tmp_path), QUIET)
    write_version(output, merge_provenance("v0001", label_set=LABELS), [])
    done = restate(config(tmp_path, segments=SegmentRule(thresholds={"suction": 0.9})), QUIET)
    assert done.published.name == "v0003"
    assert latest_record(output).version == "v0002"


def test_without_answers_there_is_nothing_to_read(tmp_path):
    with pytest.raises(DataError, match=r"found no identity.json, expected an output of nrray relabel"):
        restate(config(tmp_path), QUIET)
    with pytest.raises(ConfigError, match=r"strategy.kind: found head, which gives no answers to read again"):
        restate(config(tmp_path, strategy={"kind": "head"}), QUIET)
    job = resolved_job(config(tmp_path))
    job.output.create()
    bind_identity(job.output, job.identity, unrecorded_strategy=job.unrecorded_strategy)
    with pytest.raises(DataError, match="found an empty ledger, expected answers"):
        restate(config(tmp_path), QUIET)
    Ledger(job.output).create()
    Ledger(job.output).append(unit_results(job.plan.units, VIDEOS, job.sampling, activities=LABELS.names))
    with pytest.raises(DataError, match="found labels without answers, expected what the model said"):
        restate(config(tmp_path), QUIET)
    assert (job.output / "versions").names() == []


def test_the_command_says_what_it_read(tmp_path, capsys):
    made = config(tmp_path)
    output = answered(made, ["yes", "no", "no", "no"])
    (tmp_path / "relabel.yaml").write_text(yaml.safe_dump(json.loads(made.model_dump_json(exclude_none=True))))
    assert main(["relabel", str(tmp_path / "relabel.yaml"), "--restate"]) == 0
    said = capsys.readouterr().out
    assert "Published v0001" in said
    assert main(["relabel", str(tmp_path / "relabel.yaml"), "--restate", "--retry-failed"]) == 2
    assert "--restate tries no unit" in capsys.readouterr().err
    assert main(["status", output.uri]) == 0
    assert "v0001 (restate)" in capsys.readouterr().out
