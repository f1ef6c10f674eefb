import json

import pyarrow.parquet as pq

from nrray.archive.splits import path_digest
from nrray.evaluate.comparison import compare
from nrray.evaluate.config import CompareConfig, EvaluateConfig
from nrray.evaluate.evaluation import evaluate
from nrray.evaluate.training_cases import training_cases
from nrray.storage import Folder
from tests.evaluate.archives import archive
from tests.made_versions import merge_provenance, provenance, write_record


def test_a_labelling_that_is_measured_on_the_cases_of_its_model_is_noted(tmp_path):
    tuned, reference = archive(tmp_path, right=0.9, name="tuned", seed=1)
    other, _ = archive(tmp_path, right=0.9, name="other", seed=2)
    paths = sorted(set(pq.read_table(f"{tuned}/labels.parquet")["path"].to_pylist()))
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    parts = {"train": paths[:5], "validation": paths[5:6], "test": paths[6:]}
    for folder, model in ((tuned, {"adapter": str(adapter)}), (other, {"path": "embedded"})):
        write_record(Folder(folder), provenance(config={"model": model}))
    output = str(tmp_path / "out")
    by_other_names = {part: [f"case {path}" for path in mine] for part, mine in parts.items()}
    videos = {part: [path_digest(path) for path in mine] for part, mine in parts.items()}
    for document in ({"parts": parts}, {"parts": by_other_names, "videos": videos}):
        (adapter / "split.json").write_text(json.dumps(document))
        compared = compare(CompareConfig(candidates=(tuned, other), reference=reference, output=output))
        evaluated = evaluate(EvaluateConfig(candidate=tuned, reference=reference, output=output))
        for notes in (compared.notes, evaluated.document.notes):
            (sentence,) = [note for note in notes if "was trained on" in note]
            assert sentence.startswith("tuned was trained on 5 of these 8 cases and chosen on 1")


def test_a_merged_version_is_of_the_models_of_all_its_parents(tmp_path):
    versions = Folder(str(tmp_path / "out" / "versions"))
    for number, cases in ((1, ["a"]), (2, ["b", "c"])):
        (tmp_path / f"adapter-{number}").mkdir()
        document = {"parts": {"train": cases, "test": ["d"]}}
        (tmp_path / f"adapter-{number}" / "split.json").write_text(json.dumps(document))
        made = provenance(config={"model": {"path": "embedded", "adapter": str(tmp_path / f"adapter-{number}")}})
        write_record(versions / f"v000{number}", made)
    write_record(versions / "v0003", merge_provenance("v0001", "v0002"))
    found = training_cases((versions / "v0003").uri, {f"{case}.mp4": case for case in "abcde"})
    assert found == {"train": {"a", "b", "c"}, "test": {"d"}}
