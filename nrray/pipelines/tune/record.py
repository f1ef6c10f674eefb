"""search.json: the identity of a search, so that no other one goes on in its output, and whether it is finished."""

from pydantic import JsonValue

from nrray.config import Section
from nrray.documents import section_from
from nrray.errors import DataError
from nrray.pipelines.search_sections import Range, Space
from nrray.pipelines.tune.job import TuneConfig
from nrray.storage import Folder
from nrray.train.job import FREE_SETTINGS, FinetuneJob

SEARCH_FILE = "search.json"
_FREE = frozenset({"max_concurrent", "budget_minutes", "max_trial_failures"})  # settings that change no trial


class SearchRecord(Section):
    """job: the identity of the training that is searched around, with what learns and how as the config has it: what is planned
    for it depends on frames, which are not there when a search begins. space: setting to its values; search: settings of the
    search."""

    job: dict[str, JsonValue]
    space: dict[str, JsonValue]
    search: dict[str, JsonValue]
    is_finished: bool = False

    @classmethod
    def of(cls, config: TuneConfig, job: FinetuneJob, space: Space) -> "SearchRecord":
        """The record of a search that begins."""
        return cls(
            job={
                **job.identity(),
                "parts": config.parts.model_dump(mode="json"),
                "training": config.training.model_dump(mode="json", exclude=set(FREE_SETTINGS)),
            },
            space={
                path: values.model_dump(mode="json") if isinstance(values, Range) else list(values)
                for path, values in space.items()
            },
            search=config.search.model_dump(mode="json", exclude=set(_FREE)),
        )


def bound_search(output: Folder, expected: SearchRecord) -> SearchRecord:
    """The record in `output`, which is the expected one, written where there is none. Raises DataError where it is of another
    search."""
    if not output.exists(SEARCH_FILE):
        _write(output, expected)
        return expected
    found = _read(output)
    changed = [key for key in ("job", "space", "search") if getattr(found, key) != getattr(expected, key)]
    if changed:
        raise DataError(
            f"{output} holds another search: {', '.join(changed)} differ. Search into another output, or delete this one."
        )
    return found


def finish_search(output: Folder) -> None:
    """Note that all trials are over. Raises DataError, StorageError."""
    _write(output, _read(output).model_copy(update={"is_finished": True}))


def _read(output: Folder) -> SearchRecord:
    return section_from(SearchRecord, output.read_json(SEARCH_FILE), name=SEARCH_FILE, folder=str(output))


def _write(output: Folder, record: SearchRecord) -> None:
    output.write_json(SEARCH_FILE, record.model_dump(mode="json"))
