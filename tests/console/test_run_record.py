"""An output is of one verb."""

import pytest

from nrray.console.run_record import keep_record, refuse_other_output
from nrray.errors import DataError
from nrray.sampling import Sampling
from nrray.storage import Folder


def test_the_output_of_another_verb_is_refused_and_that_of_the_same_is_not(tmp_path):
    output = Folder(str(tmp_path))
    refuse_other_output(output, "scan")  # nobody's yet
    keep_record(output, "scan", Sampling())
    refuse_other_output(output, "scan")
    with pytest.raises(DataError, match=r"is the output of `nrray scan`; expected a folder for `nrray relabel` alone"):
        refuse_other_output(output, "relabel")


def test_a_config_that_no_run_left_is_none(tmp_path):
    (tmp_path / "config.yaml").write_bytes(b"\xff archive: x\n")
    refuse_other_output(Folder(str(tmp_path)), "relabel")
