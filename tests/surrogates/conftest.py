from __future__ import annotations

import csv
import gzip
import os
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def accel_nasbench_csv() -> Path:
    """The data's rows, where they are: beside the checkout or where the variable says."""
    default = ROOT.parent / "shared" / "data" / "accel-nasbench" / "accel_nasbench.csv.gz"
    path = Path(os.environ.get("MNAS_ACCEL_NASBENCH_CSV", default))
    if not path.is_file():
        pytest.skip(f"the rows of Accel-NASBench are not at {path}; MNAS_ACCEL_NASBENCH_CSV names another place")
    return path


@pytest.fixture(scope="session")
def accel_nasbench_rows(accel_nasbench_csv: Path) -> list[dict[str, Any]]:
    with gzip.open(accel_nasbench_csv, "rt", encoding="utf-8") as file:
        return list(csv.DictReader(file))
