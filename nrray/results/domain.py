"""A model's domain: videos that look like those that it was trained on, and what becomes of the labels of others.

How far a video is, is the median distance of its windows (`nrray.models.looks`): windows of one video differ much, their median
does not. The ledger keeps distances and labels; the rule is applied when a version is published.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from nrray.config import Section

OUTSIDE_MARK = " (outside its domain)"
"""Behind the source of labels, segments and coverage of a video that is labelled all the same."""


class OutsideDomain(str, Enum):
    """What becomes of the labels of a video outside the model's domain."""

    NOT_ASSESSABLE = "not_assessable"  # nothing is claimed of its windows
    LABEL = "label"  # they are labelled all the same, and marked


class DomainRule(Section):
    """When a video is outside, and what becomes of it then."""

    model: str = Field(description="its name")
    far: float = Field(gt=0, description="a video is outside from this median distance of its windows on")
    outside: OutsideDomain


class DomainRecord(DomainRule):
    """In run.json: the rule, and how many videos it was applied to. Videos without a labelled window have no distance."""

    num_videos: int = Field(description="with a known distance")
    num_outside: int
    farthest: float = Field(description="distance of the farthest video")
    farthest_path: str

    def sentence(self) -> str:
        """How many videos are outside, and what has become of their labels."""
        if not self.num_outside:
            return (
                f"Looks: all {self.num_videos:,} videos are like those that {self.model} was trained on (at most "
                f"{self.farthest:.2f} times as far as its own, outside from {self.far:.2f} on)."
            )
        becomes = (
            "nothing is claimed of their windows, which are not assessable"
            if self.outside is OutsideDomain.NOT_ASSESSABLE
            else "they are labelled all the same and marked, as outside_domain=label asks; their labels may mean nothing"
        )
        return (
            f"Looks: {self.num_outside:,} of {self.num_videos:,} videos are unlike those that {self.model} was trained on, from "
            f"{self.far:.2f} times as far as its own on ({self.farthest_path}: {self.farthest:.2f}); {becomes}."
        )


def median_distances(video_id: pa.Array | pa.ChunkedArray, distance: pa.Array | pa.ChunkedArray) -> dict[str, float]:
    """The median distance of the windows of each video that has some; distance: (W,) of windows, null or NaN for none."""
    values = pc.fill_null(distance, np.nan).to_numpy(zero_copy_only=False)
    ids = pc.cast(video_id, pa.string()).to_numpy(zero_copy_only=False)
    is_known = np.isfinite(values)
    names, codes = np.unique(ids[is_known].astype(object), return_inverse=True)
    order = np.argsort(codes, kind="stable")
    groups = np.split(values[is_known][order], np.flatnonzero(np.diff(codes[order])) + 1) if len(order) else []
    return {str(name): float(np.median(group)) for name, group in zip(names, groups, strict=True)}


def unit_medians(results: pa.Table) -> dict[str, float]:
    """Those of the videos of `results`, the ledger's rows; units of a release before have no distances."""
    lists = results["looks_distances"].combine_chunks()
    return median_distances(results["video_id"].combine_chunks().take(pc.list_parent_indices(lists)), lists.flatten())


@dataclass(frozen=True, kw_only=True)
class Domain:
    """The videos of some results that are outside the model's domain, by their median distance, and what becomes of them."""

    outside: Mapping[str, float]
    rule: DomainRule

    @property
    def not_assessable(self) -> frozenset[str]:
        """Videos of which nothing is claimed."""
        return frozenset(self.outside) if self.rule.outside is OutsideDomain.NOT_ASSESSABLE else frozenset()

    def source(self, source: str, video_id: str) -> str:
        """The source of a video's rows."""
        is_marked = video_id in self.outside and self.rule.outside is OutsideDomain.LABEL
        return source + OUTSIDE_MARK if is_marked else source

    def reason(self, video_id: str) -> str:
        """Why nothing is claimed of a video's windows."""
        return (
            f"the video looks {self.outside[video_id]:.2f} times as far from what the model was trained on as that itself "
            f"(outside from {self.rule.far:.2f} on)"
        )


def domain_of(medians: Mapping[str, float], rule: DomainRule | None) -> Domain | None:
    """The domain of videos with these median distances; None without a rule: the model knows no looks."""
    if rule is None:
        return None
    return Domain(outside={name: value for name, value in medians.items() if value >= rule.far}, rule=rule)
