import pytest

from nrray.errors import DataError
from nrray.results.segments import SegmentRule
from nrray.results.version import (
    VersionKind,
    last_of_kind,
    latest_record,
    model_folders,
    next_version_name,
    read_version_record,
    version_names,
)
from nrray.storage import Folder
from tests.made_versions import IDENTITY, label_set, merge_provenance, provenance, write_record
from tests.results.release_before import run_json


@pytest.fixture
def output(tmp_path):
    return Folder(str(tmp_path / "out"))


def version(output, name):
    return output / "versions" / name


def test_a_record_comes_back_as_it_was_written(output):
    written = write_record(version(output, "v0001"))
    assert read_version_record(version(output, "v0001")) == written


def test_a_record_of_the_release_before_is_one_of_relabel_without_parents(output):
    folder = version(output, "v0001")
    folder.create()
    folder.write_json("run.json", run_json(label_set()))
    record = read_version_record(folder)
    assert (record.kind, record.parents, record.version) == (VersionKind.RELABEL, (), "v0001")
    assert record.state.units == {"failed": 0, "not_run": 9, "ok": 7, "quarantined": 0}
    assert record.state.segment_rule == SegmentRule()
    assert record.measured.wall_seconds == 16.13
    assert (record.identity.model, record.identity.strategy) == ("abc", None)
    assert record.label_set == label_set()
    assert record.model_folder == "embedded"


def test_keys_of_the_release_before_keep_name_and_place(output):
    before = run_json(label_set())
    folder = version(output, "v0001")
    folder.create()
    folder.write_json("run.json", before)
    now = read_version_record(folder).model_dump(mode="json")
    grown = ("identity", "label_set", "state")
    assert {key: now[key] for key in before if key not in grown} == {
        key: before[key] for key in before if key not in grown
    }
    for name in ("identity", "state"):
        assert {key: now[name][key] for key in before[name]} == before[name]
    assert now.keys() - before.keys() == {
        *(
            "schema_version",
            "kind",
            "parents",
            "domain",
            "states",
            "unparsed_answers",
            "order_disagreement",
            "prompt_digests",
            "server",
        ),
    }


def test_a_run_that_had_nothing_to_do_measured_nothing(output):
    folder = version(output, "v0001")
    folder.create()
    folder.write_json("run.json", {**run_json(label_set()), "measured": {}})
    record = read_version_record(folder)
    assert record.measured is None
    assert record.model_dump(mode="json")["measured"] == {}


@pytest.mark.parametrize("missing", sorted(run_json(label_set())))
def test_a_missing_key_is_named_with_its_file(output, missing):
    folder = version(output, "v0003")
    folder.create()
    folder.write_json("run.json", {key: value for key, value in run_json(label_set()).items() if key != missing})
    with pytest.raises(DataError, match=rf"run\.json of .*/v0003 lacks {missing}; expected the keys .*thresholds"):
        read_version_record(folder)


def test_only_the_release_before_may_lack_a_kind(output):
    folder = version(output, "v0001")
    folder.create()
    folder.write_json("run.json", {**run_json(label_set()), "schema_version": 1, "parents": []})
    with pytest.raises(DataError, match=r"lacks .*kind"):
        read_version_record(folder)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"schema_version": 2}, r"run\.json of .*/v0001 has schema_version 2; expected at most 1\. A newer nrray"),
        ({"kind": "guess"}, r"has kind: found 'guess', expected .*merge"),
        ({"colour": "red"}, "has unknown keys colour"),
        ({"state": {"units": {}}}, r"lacks state\.ledger_rows, state\.attempts, state\.videos"),
        ({"identity": None}, "a version of kind relabel has an identity and a state"),
        ({"state": None}, "a version of kind relabel has an identity and a state"),
    ],
)
def test_a_record_that_cannot_be_used_says_why(output, changed, said):
    folder = version(output, "v0001")
    document = write_record(folder).model_dump(mode="json")
    folder.write_json("run.json", {**document, **changed})
    with pytest.raises(DataError, match=said):
        read_version_record(folder)


@pytest.mark.parametrize("content", [b"[]", b"{", b"3"])
def test_a_file_that_is_no_record_is_named(output, content):
    folder = version(output, "v0001")
    folder.create()
    folder.write_bytes("run.json", content)
    with pytest.raises(DataError, match=r"v0001"):
        read_version_record(folder)


def test_a_folder_without_a_record_is_no_version(output):
    version(output, "v0001").create()
    with pytest.raises(DataError, match=r"no label version: it has no run\.json"):
        read_version_record(version(output, "v0001"))
    assert version_names(output) == []
    assert latest_record(output) is None


def test_the_next_version_is_numbered_after_the_last(output):
    assert next_version_name(output) == "v0001"
    write_record(version(output, "v0009"))
    write_record(version(output, "v0011"))
    assert next_version_name(output) == "v0012"


def test_the_last_version_of_a_kind_is_found_under_later_ones_of_others(output):
    write_record(version(output, "v0001"))
    write_record(version(output, "v0002"), provenance(run_id="second"))
    write_record(version(output, "v0003"), merge_provenance("v0002"))
    assert last_of_kind(output, VersionKind.RELABEL).version == "v0002"
    assert last_of_kind(output, VersionKind.MERGE).version == "v0003"
    assert last_of_kind(output, VersionKind.IMPORT) is None


def test_a_copy_of_a_version_is_not_taken_for_a_version(output):
    written = write_record(version(output, "v0001"))
    version(output, "v0002").create()
    version(output, "v0002").write_json("run.json", written.model_dump(mode="json"))
    with pytest.raises(DataError, match=r"versions/v0002 is of v0001"):
        latest_record(output)


@pytest.mark.parametrize("kind", [VersionKind.MERGE, VersionKind.IMPORT, VersionKind.RESTATE])
def test_the_latest_version_is_the_last_that_is_not_of_a_run(output, kind):
    write_record(version(output, "v0001"))
    assert latest_record(output).version == "v0001"
    write_record(version(output, "v0002"), merge_provenance("v0001", kind=kind))
    write_record(version(output, "v0003"))
    assert latest_record(output).version == "v0002"
    write_record(version(output, "v0004"), merge_provenance("v0002", "v0003", kind=kind))
    assert latest_record(output).version == "v0004"


def test_a_title_names_kind_and_parents_of_all_but_runs(output):
    assert write_record(version(output, "v0001")).title == "v0001"
    made = merge_provenance("v0001", "/elsewhere/v0007")
    assert write_record(version(output, "v0002"), made).title == "v0002 (merge of v0001 and /elsewhere/v0007)"
    imported = merge_provenance(kind=VersionKind.IMPORT)
    assert write_record(version(output, "v0003"), imported).title == "v0003 (import)"


def test_the_models_behind_a_version_are_those_of_its_parents_too(output, tmp_path):
    elsewhere = Folder(str(tmp_path / "elsewhere" / "versions" / "v0001"))
    write_record(elsewhere, provenance(config={"model": {"path": "/base", "adapter": "/adapter"}}))
    write_record(version(output, "v0001"))
    write_record(version(output, "v0002"), merge_provenance("v0001", elsewhere.uri, "v0099"))
    (tmp_path / "out" / "latest").symlink_to("versions/v0002")
    for folder in (version(output, "v0002"), output / "latest"):
        assert model_folders(folder) == {"embedded", "/adapter"}
    assert model_folders(version(output, "v0001")) == {"embedded"}


def test_parents_are_found_on_an_object_store(tmp_path):
    output = Folder(f"memory://{tmp_path.name}-parents")
    write_record(version(output, "v0001"))
    write_record(version(output, "v0002"), merge_provenance("v0001"))
    assert model_folders(version(output, "v0002")) == {"embedded"}


def test_records_are_never_changed():
    with pytest.raises(ValueError, match="frozen"):
        IDENTITY.model = "other"
