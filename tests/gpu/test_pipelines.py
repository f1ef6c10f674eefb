"""The same graphs on Ray where there is a GPU: a labeler on it, and a training whose processes meet over nccl."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.pipelines.support import nrray, one_ray, tables, words
from tests.pipelines.training_support import make_annotated_archive, settings

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    with one_ray():
        yield make_annotated_archive(tmp_path_factory.mktemp("annotated"))


def relabelled(archive, output, **changes):
    """Table of labels, and what was said."""
    given = {"manifest": archive / "scan/manifest.parquet", "output": output, "outside_domain": "label", **changes}
    done = nrray("relabel", *words(**given))
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return tables(output)["labels"], said


def devices(output):
    """On which device, in which number format each unit was labelled."""
    return {row["device"] for file in (output / "ledger").glob("*.parquet") for row in pq.read_table(file).to_pylist()}


def test_relabel_puts_the_labeler_on_the_gpu(archive, tmp_path):
    exact = {"model__dtype": "float32"}
    on_gpu, said = relabelled(archive, tmp_path / "gpu", **exact)
    on_cpu, _ = relabelled(archive, tmp_path / "cpu", model__device="cpu", **exact)
    assert "labelers on GPU" in said, said
    assert devices(tmp_path / "gpu") == {"cuda/float32"}
    assert devices(tmp_path / "cpu") == {"cpu/float32"}
    assert on_gpu.drop_columns(["score", "state"]).equals(on_cpu.drop_columns(["score", "state"]))
    ours, theirs = (np.array(table["score"].to_pylist(), float) for table in (on_gpu, on_cpu))
    np.testing.assert_allclose(ours, theirs, atol=1e-3)


def test_a_training_on_the_gpu_labels_on_it(archive, tmp_path):
    output = tmp_path / "trained"
    done = nrray(
        "finetune", *words(**settings(archive, output, training__num_steps=16, training__head_learning_rate=0.01))
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "a GPU" in done.stdout, done.stdout
    labels, said = relabelled(
        archive, tmp_path / "relabelled", model__adapter=output / "adapter", label_set=archive / "labels.yaml"
    )
    assert labels.num_rows > 0
    assert devices(tmp_path / "relabelled") == {"cuda/bfloat16"}, said
