"""How long `import mnas` takes, and that it brings no torch, beside the libraries that people import for the same.

python benchmarks/bench_import.py
"""

from __future__ import annotations

import json
import subprocess
import sys
from statistics import median

REPEATS = 9
_CODE = """
import sys, time
began = time.perf_counter()
import {module}
print(time.perf_counter() - began, "torch" in sys.modules)
"""


def main() -> None:
    """Measure and print."""
    rows = {module: _import(module) for module in ("mnas", "optuna", "torch")}
    print(f"{'module':10} {'seconds':>8}  brings torch")
    for module, (seconds, torch) in rows.items():
        print(f"{module:10} {seconds:8.3f}  {torch}")
    print(json.dumps({"benchmark": "import", "repeats": REPEATS, "seconds": {m: s for m, (s, _) in rows.items()}}))


def _import(module: str) -> tuple[float, bool]:

    outputs = [
        subprocess.run(
            [sys.executable, "-c", _CODE.format(module=module)], capture_output=True, text=True, check=True
        ).stdout.split()
        for _ in range(REPEATS if module == "mnas" else 3)
    ]
    return median(float(seconds) for seconds, _ in outputs), outputs[0][1] == "True"


if __name__ == "__main__":
    main()
