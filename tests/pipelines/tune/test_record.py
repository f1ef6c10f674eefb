"""A search goes on in its own output alone."""

import pytest

from nrray.errors import DataError
from nrray.pipelines.tune.record import SearchRecord, bound_search, finish_search
from nrray.storage import Folder

RECORD = SearchRecord(job={"model": "m"}, space={"adapter.rank": [8]}, search={"seed": 0})


def test_a_search_goes_on_in_its_own_output_until_it_is_finished(tmp_path):
    output = Folder(str(tmp_path))
    assert not bound_search(output, RECORD).is_finished
    assert not bound_search(output, RECORD).is_finished
    finish_search(output)
    assert bound_search(output, RECORD).is_finished


@pytest.mark.parametrize("change", [{"job": {"model": "n"}}, {"space": {"adapter.rank": [4]}}, {"search": {"seed": 1}}])
def test_another_search_is_refused_by_name(tmp_path, change):
    output = Folder(str(tmp_path))
    bound_search(output, RECORD)
    with pytest.raises(DataError, match=rf"holds another search: {next(iter(change))} differ"):
        bound_search(output, RECORD.model_copy(update=change))
