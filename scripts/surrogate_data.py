"""Accel-NASBench's rows: from a local CSV, or from upstream's own files with their checksums."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import sys
import tarfile
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnas.space import accel_nasbench_tokens

COMMIT = "42603572d530310e6bac7191d00cf45625a6b197"
UPSTREAM = f"https://raw.githubusercontent.com/afzalxo/Accel-NASBench/{COMMIT}"
ARCHIVE = "anb_dataset/anb_dataset_jsons.tar.gz"
# Upstream's third part, `test`, is not read: it stays unseen for whoever wants to test the surrogates.
SPLITS = {part: f"configs/data_splits/default_split/{part}_paths.json" for part in ("train", "val")}
SHA256 = {
    ARCHIVE: "3520992d42e368b7c08c99fc3f6612855b5b366bf98668a7f19d49f3131aa4ae",
    SPLITS["train"]: "ab9c76dcddc70c9a5d9ef6b0c0038f1ebb9cbf6b527deb981204493410f20875",
    SPLITS["val"]: "b03d1f2738002e6fd21282430fc7994ab259f6866275966de81f633e14177e5b",
}
ROWS = 4612

Row = dict[str, Any]


@dataclass(frozen=True)
class Data:
    """The rows in the order of their ids. What was not measured is NaN."""

    ids: NDArray[np.int64]
    tokens: NDArray[np.uint8]  # (rows, 28)
    columns: dict[str, NDArray[np.float64]]


COLUMNS = (
    "val_top1",
    "latency_zcu102_mean",
    "latency_vck190_mean",
    "throughput_a100_mean",
    "throughput_3090_mean",
    "throughput_tpuv2_mean",
    "throughput_tpuv3_mean",
)


def data_from(rows: Iterable[Row]) -> Data:
    """Rows as arrays."""
    ordered = sorted(rows, key=lambda row: int(row["id"]))
    if len(ordered) != ROWS:
        sys.exit(f"expected the {ROWS} rows of Accel-NASBench's train and val parts, got {len(ordered)}")
    return Data(
        ids=np.array([int(row["id"]) for row in ordered]),
        tokens=np.array([accel_nasbench_tokens(row) for row in ordered], dtype=np.uint8),
        columns={name: np.array([_value(row[name]) for row in ordered]) for name in COLUMNS},
    )


def read_csv(path: Path) -> list[Row]:
    """The rows of a CSV, gzipped or not, with the columns that docs/surrogates.md lists."""
    content = path.read_bytes()
    text = (gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content).decode()
    return list(csv.DictReader(io.StringIO(text)))


def download(base: str = UPSTREAM) -> list[Row]:
    """The rows from upstream's archive of JSON files and its lists of which belong to train and val."""
    archive = _fetched(base, ARCHIVE)
    parts = {part: _ids(_fetched(base, path)) for part, path in SPLITS.items()}
    return rows_of(archive, parts)


def rows_of(archive: bytes, parts: dict[str, set[int]]) -> list[Row]:
    """Rows of the wanted ids from the archive; device columns to seven significant digits, as in the CSV."""
    rows = []
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
        for member in tar:
            if not member.name.endswith(".json"):
                continue
            identity = int(Path(member.name).stem.removeprefix("result_"))
            part = next((part for part, ids in parts.items() if identity in ids), None)
            file = tar.extractfile(member)
            if part and file:
                rows.append({"id": identity, "split": part, **_row(json.load(file))})
    return rows


def _row(content: Any) -> Row:
    row = {**content["architecture"], "val_top1": content["metrics"]["val_top1"]}
    for quantity, values in content["platform_perf"].items():
        kind = quantity.split("_")[0]
        value = values[f"{kind}_mean"]
        row[f"{quantity}_mean"] = value and float(f"{value:.7g}")
    return row


def _fetched(base: str, path: str) -> bytes:
    with urllib.request.urlopen(f"{base}/{path}", timeout=60) as response:
        content: bytes = response.read()
    found = hashlib.sha256(content).hexdigest()
    if found != SHA256[path]:
        sys.exit(f"{base}/{path} should have the SHA-256 {SHA256[path]}, got {found}: use another mirror, or --csv")
    return content


def _ids(paths: bytes) -> set[int]:
    return {int(Path(path).stem.removeprefix("result_")) for path in json.loads(paths)}


def _value(text: Any) -> float:
    return float("nan") if text in ("", None) else float(text)
