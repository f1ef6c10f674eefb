"""JSON files as the release before this one wrote them: without schema_version, strategy, kind and parents."""

from typing import Any

from nrray.labels import LabelSet

SECTIONS: dict[str, Any] = {
    "packing": {"max_unit_mib": 32, "max_unit_windows": 60},
    "sampling": {
        "frame_height_px": 128,
        "frame_width_px": 128,
        "frames_per_second": 4.0,
        "stride_seconds": 1.0,
        "window_seconds": 3.0,
    },
}
SEGMENT_RULE = {"merge_gap_seconds": 1.0, "min_length_seconds": 1.0, "thresholds": {}, "vote_share": 0.5}


def identity_json(*, model: str = "abc", label_set: str = "def") -> dict[str, Any]:
    return {"decoder": "pyav", "dtype": "float32", "label_set": label_set, "model": model, **SECTIONS}


def run_json(label_set: LabelSet, *, name: str = "v0001") -> dict[str, Any]:
    return {
        "activities": list(label_set.names),
        "config": {
            "label_set": None,
            "manifest": "/scan/manifest.parquet",
            "model": {"adapter": None, "device": "auto", "dtype": "auto", "path": "embedded"},
            "output": "/labels",
            "segments": SEGMENT_RULE,
        },
        "identity": identity_json(),
        "label_set": label_set.model_dump(mode="json"),
        "manifest": "/scan/manifest.parquet",
        "measured": {
            "capacity": "2 CPUs, 0 GPUs, 21.3 GiB of memory",
            "elapsed_seconds": 16.1,
            "eta_seconds": 0.0,
            "failures": {},
            "pools": "2 decoders and 2 labelers on CPU",
            "units_done": 7,
            "units_total": 7,
            "video_hours_per_hour": 19.66,
            "wall_seconds": 16.13,
        },
        "nrray_version": "0.1.0",
        "published_unix": 1795911799,
        "ray_version": "2.60.0",
        "rows": {"coverage.parquet": 681, "labels.parquet": 1268, "segments.parquet": 14},
        "run_id": "20261129T002258-897f96",
        "state": {
            "attempts": 7,
            "ledger_rows": 7,
            "segment_rule": SEGMENT_RULE,
            "units": {"failed": 0, "not_run": 9, "ok": 7, "quarantined": 0},
            "videos": "8e40d6ab",
        },
        "thresholds": dict.fromkeys(label_set.names, 0.5),
        "unreadable_files": 0,
        "version": name,
        "windows": {"not_run": 364, "ok": 317},
    }
