"""Fit the surrogates that mnas ships, and print how good they are out of fold.

    python scripts/fit_surrogates.py                     # downloads the data from upstream, checks their SHA-256
    python scripts/fit_surrogates.py --csv rows.csv.gz   # or takes them from a local CSV
    python scripts/fit_surrogates.py --only a100 3090    # some of them
    python scripts/fit_surrogates.py --tables            # fits nothing: the tables of docs/surrogates.md

Writes `src/mnas/surrogates/data/*.safetensors`, one file per quantity. One thread, about five minutes. Needs
torch, scikit-learn and scipy; predicting does not.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from surrogate_data import COMMIT, ROWS, UPSTREAM, Data, data_from, download, read_csv
from surrogate_fits import (
    Arrays,
    Floats,
    MlpRecipe,
    OutOfFold,
    TreeRecipe,
    domain_of,
    fit_block_tables,
    fit_error,
    fit_mlp,
    fit_trees,
    inside_intervals,
    mean_tau,
)

from mnas.surrogates import (
    FEW_ROWS,
    Domain,
    MlpEnsemble,
    SurrogateFile,
    TableSum,
    network_inputs,
    read_surrogate_file,
    write_surrogate_file,
)

SEED = 0
FOLDS = 5
LARGEST_KB = {"accuracy-trees": 300}
DEVICES = {
    "zcu102": "latency_zcu102_mean",
    "vck190": "latency_vck190_mean",
    "a100": "throughput_a100_mean",
    "3090": "throughput_3090_mean",
    "tpuv2": "throughput_tpuv2_mean",
    "tpuv3": "throughput_tpuv3_mean",
}
# Latencies follow the counts closely, so there is less to keep the networks from than in accuracies.
DEVICE_RECIPE = MlpRecipe(members=5, epochs=150, weight_decay=0.1, huber_delta=0.05)

Mask = NDArray[np.bool_]
Predictor = Callable[[NDArray[np.uint8]], tuple[Floats, Floats | None]]


def main() -> None:
    """Read, fit, write, report."""
    arguments = _arguments()
    if arguments.tables:
        _say(*_accuracy_table(arguments.out), "", *_device_table(arguments.out))
        return
    torch.set_num_threads(1)
    data = data_from(read_csv(arguments.csv) if arguments.csv else download(arguments.base_url))
    arguments.out.mkdir(parents=True, exist_ok=True)
    fits: dict[str, Callable[[Data], tuple[Arrays, dict[str, Any]]]] = {
        "accuracy-mlp": accuracy_mlp,
        "accuracy-trees": accuracy_trees,
        **{device: lambda data, device=device: device_model(data, device) for device in DEVICES},  # type: ignore[misc]
    }
    for name in arguments.only or fits:
        if name not in fits:
            sys.exit(f"unknown surrogate {name!r}; known: {', '.join(fits)}")
        arrays, found = fits[name](data)
        path = arguments.out / f"{name}.safetensors"
        write_surrogate_file(path, arrays, {**provenance(data), **found})
        _report(name, path, read_surrogate_file(path))


def provenance(data: Data) -> dict[str, Any]:
    """What every file says of its origin."""
    return {
        "format": 1,
        "space": "accel-nasbench",
        "origin": "Accel-NASBench, Ahmad et al. 2024, github.com/afzalxo/Accel-NASBench",
        "origin_commit": COMMIT,
        "licence": "Apache-2.0",
        "rows": len(data.ids),
        "split": f"upstream's train and val parts; {FOLDS} random folds of them for the errors; fitted on all",
        "seed": SEED,
        "made_by": "scripts/fit_surrogates.py",
    }


def folds_of(count: int) -> NDArray[np.int64]:
    """Which of the five folds a row is in."""
    return np.asarray(np.random.default_rng(SEED).permutation(count) % FOLDS)


def accuracy_mlp(data: Data) -> tuple[Arrays, dict[str, Any]]:
    """The ensemble for the validation top-1."""
    recipe = MlpRecipe(seed=SEED)
    truth = data.columns["val_top1"]
    rows, models = _mlp_out_of_fold(data.tokens, truth, recipe, is_log=False, is_relative=False)
    everything = np.ones(len(truth), dtype=bool)
    (ensemble,) = fit_mlp(network_inputs()(data.tokens), truth, [everything], recipe)
    errors: dict[str, Any] = {**_accuracy_errors(rows), "single_network_tau": _single_tau(models, data.tokens, truth)}
    errors["extrapolation"] = _extrapolation(data, truth, recipe)
    arrays = {**ensemble, **domain_of(data.tokens), **fit_error(rows, everything)}
    return arrays, {**_ACCURACY, "model": "mlp", "recipe": recipe.__dict__, "errors": errors}


def accuracy_trees(data: Data) -> tuple[Arrays, dict[str, Any]]:
    """The second opinion on the validation top-1."""
    recipe, truth = TreeRecipe(), data.columns["val_top1"]
    rows, _ = _out_of_fold(
        data.tokens,
        truth,
        lambda masks: [_tables(fit_trees(data.tokens[mask], truth[mask], recipe)) for mask in masks],
        is_log=False,
        is_relative=False,
    )
    everything = np.ones(len(truth), dtype=bool)
    arrays = {**fit_trees(data.tokens, truth, recipe), **domain_of(data.tokens), **fit_error(rows, everything)}
    return arrays, {**_ACCURACY, "model": "tables", "recipe": recipe.__dict__, "errors": _accuracy_errors(rows)}


_ACCURACY = {
    "quantity": "top-1 accuracy on ImageNet's validation images, percent, one training",
    "recipe_of_data": "16 epochs, images of 160 to 192 pixels, evaluated at 256, ReLU, label smoothing 0.1",
}


def device_model(data: Data, device: str) -> tuple[Arrays, dict[str, Any]]:
    """A per-block table in milliseconds or an ensemble for their logarithm: whichever is better out of fold."""
    column = DEVICES[device]
    measured = ~np.isnan(data.columns[column])
    tokens, values = data.tokens[measured], data.columns[column][measured]
    is_throughput = column.startswith("throughput")
    ms = 1000 / values if is_throughput else values
    table_rows, _ = _out_of_fold(
        tokens,
        ms,
        lambda masks: [_tables(fit_block_tables(tokens[mask], ms[mask])) for mask in masks],
        is_log=False,
        is_relative=True,
    )
    mlp_rows, _ = _mlp_out_of_fold(tokens, np.log(ms), DEVICE_RECIPE, is_log=True, is_relative=True)
    errors = {"tables": _device_errors(table_rows), "mlp": _device_errors(mlp_rows)}
    chosen = min(errors, key=lambda kind: errors[kind]["mean_percent"])
    everything = np.ones(len(ms), dtype=bool)
    if chosen == "tables":
        model, rows = fit_block_tables(tokens, ms), table_rows
    else:
        (model,) = fit_mlp(network_inputs()(tokens), np.log(ms), [everything], DEVICE_RECIPE)
        rows = mlp_rows
    found = {
        "quantity": f"milliseconds{' per image' if is_throughput else ''} on {device}, upstream's {column}",
        "is_throughput": is_throughput,
        "rows_measured": len(ms),
        "model": chosen,
        "errors": errors,
    }
    return {**model, **domain_of(tokens), **fit_error(rows, everything)}, found


def _out_of_fold(
    tokens: NDArray[np.uint8],
    truth: Floats,
    fit: Callable[[Sequence[Mask]], Sequence[Predictor]],
    *,
    is_log: bool,
    is_relative: bool,
) -> tuple[OutOfFold, Sequence[Predictor]]:
    """Each row predicted by the model that did not see its fold, with its distance from that model's rows."""
    folds = folds_of(len(truth))
    masks = [folds != fold for fold in range(FOLDS)]
    models = fit(masks)
    mean, distance, alike = np.empty(len(truth)), np.empty(len(truth)), np.empty(len(truth), dtype=np.int64)
    spread: Floats | None = None
    for mask, model in zip(masks, models, strict=True):
        mean[~mask], found = model(tokens[~mask])
        if found is not None:
            spread = np.empty(len(truth)) if spread is None else spread
            spread[~mask] = found
        distance[~mask], alike[~mask], _ = Domain(_in_memory(domain_of(tokens[mask])))(tokens[~mask])
    return OutOfFold(truth, mean, spread, distance, alike, folds, is_log, is_relative), models


def _mlp_out_of_fold(
    tokens: NDArray[np.uint8], truth: Floats, recipe: MlpRecipe, *, is_log: bool, is_relative: bool
) -> tuple[OutOfFold, Sequence[Predictor]]:
    inputs = network_inputs()(tokens)

    def fit(masks: Sequence[Mask]) -> list[Predictor]:
        return [MlpEnsemble(_in_memory(arrays)) for arrays in fit_mlp(inputs, truth, masks, recipe)]

    return _out_of_fold(tokens, truth, fit, is_log=is_log, is_relative=is_relative)


def _accuracy_errors(rows: OutOfFold) -> dict[str, float]:
    errors = np.abs(rows.residual)
    top = rows.truth >= np.quantile(rows.truth, 0.9)
    predicted_top = rows.mean >= np.quantile(rows.mean, 0.9)
    rare = rows.alike < FEW_ROWS
    inside = inside_intervals(rows)
    return {
        "tau": mean_tau(rows.mean, rows.truth, rows.folds),
        "mae_points": float(errors.mean()),
        "rmse_points": float(np.sqrt((errors**2).mean())),
        "tau_in_best_tenth": mean_tau(rows.mean[top], rows.truth[top], np.zeros(top.sum(), dtype=int)),
        "inside_68": float(inside[:, 0].mean()),
        "inside_95": float(inside[:, 1].mean()),
        "inside_95_predicted_best_tenth": float(inside[predicted_top, 1].mean()),
        "rare_block_rows": float(rare.sum()),
        "rare_block_mean_error_points": float(rows.residual[rare].mean()),
        "rare_block_rmse_points": float(np.sqrt((errors[rare] ** 2).mean())),
    }


def _device_errors(rows: OutOfFold) -> dict[str, float]:
    percent = 100 * np.abs(np.expm1(rows.residual))
    inside = inside_intervals(rows).mean(axis=0)
    return {
        "mean_percent": float(percent.mean()),
        "median_percent": float(np.median(percent)),
        "percentile_95_percent": float(np.quantile(percent, 0.95)),
        "tau": mean_tau(rows.mean, rows.truth, rows.folds),
        "inside_68": float(inside[0]),
        "inside_95": float(inside[1]),
    }


def _single_tau(models: Sequence[Predictor], tokens: NDArray[np.uint8], truth: Floats) -> float:
    """What one network of the ensemble reaches alone."""
    folds = folds_of(len(truth))
    mean = np.empty(len(truth))
    for fold, model in enumerate(models):
        mean[folds == fold] = model.members(tokens[folds == fold])[:, 0]  # type: ignore[attr-defined]
    return mean_tau(mean, truth, folds)


def _extrapolation(data: Data, truth: Floats, recipe: MlpRecipe) -> dict[str, float]:
    """The best tenth, predicted from the other nine: what a search asks of a surrogate."""
    known = truth < np.quantile(truth, 0.9)
    (arrays,) = fit_mlp(network_inputs()(data.tokens), truth, [known], recipe)
    mean, _ = MlpEnsemble(_in_memory(arrays))(data.tokens[~known])
    difference = mean - truth[~known]
    return {
        "mean_error_points": float(difference.mean()),
        "mae_points": float(np.abs(difference).mean()),
        "tau": mean_tau(mean, truth[~known], np.zeros(len(mean), dtype=int)),
    }


def _tables(arrays: Arrays) -> Predictor:
    tables = TableSum(_in_memory(arrays))
    return lambda tokens: (tables(tokens), None)


def _in_memory(arrays: Arrays) -> SurrogateFile:
    return SurrogateFile("in memory", arrays, {}, "")


def _report(name: str, path: Path, file: SurrogateFile) -> None:
    kilobytes = path.stat().st_size / 1000
    _say(f"{name}: {file.provenance['model']}, {kilobytes:.1f} KB, {json.dumps(file.provenance['errors'])}")
    if kilobytes > LARGEST_KB.get(name, 50):
        sys.exit(f"{path} should have at most {LARGEST_KB.get(name, 50)} KB: use fewer members or trees")


def _accuracy_table(folder: Path) -> list[str]:
    files = [read_surrogate_file(folder / f"accuracy-{kind}.safetensors").provenance for kind in ("mlp", "trees")]
    rows = (
        ("Kendall's tau, mean of five folds", "tau", "{:.3f}"),
        ("the same within the best tenth", "tau_in_best_tenth", "{:.3f}"),
        ("mean absolute error, points", "mae_points", "{:.3f}"),
        ("root mean square error, points", "rmse_points", "{:.3f}"),
        ("truth inside the 68 % interval", "inside_68", "{:.1%}"),
        ("truth inside the 95 % interval", "inside_95", "{:.1%}"),
        ("the same within the tenth predicted best", "inside_95_predicted_best_tenth", "{:.1%}"),
        ("rows whose rarest block others hardly have", "rare_block_rows", "{:.0f}"),
        ("their mean error, points", "rare_block_mean_error_points", "{:+.2f}"),
        ("their root mean square error, points", "rare_block_rmse_points", "{:.2f}"),
    )
    lines = ["| out of fold | mlp | trees |", "|---|---|---|"]
    for title, key, form in rows:
        lines.append("| " + " | ".join([title, *(form.format(file["errors"][key]) for file in files)]) + " |")
    return lines


def _device_table(folder: Path) -> list[str]:
    lines = [
        "| device | table: error, tau | mlp: error, tau | shipped | 95th percentile | inside 68 % | inside 95 % |"
    ]
    lines.append("|---" * 7 + "|")
    for device in DEVICES:
        provenance = read_surrogate_file(folder / f"{device}.safetensors").provenance
        errors = provenance["errors"]
        cells = [f"{errors[kind]['mean_percent']:.2f} %, {errors[kind]['tau']:.3f}" for kind in ("tables", "mlp")]
        shipped = errors[provenance["model"]]
        cells += ["table" if provenance["model"] == "tables" else "mlp"]
        cells += [f"{shipped['percentile_95_percent']:.1f} %"]
        cells += [f"{shipped[key]:.1%}" for key in ("inside_68", "inside_95")]
        lines.append("| " + " | ".join([device, *cells]) + " |")
    return lines


def _say(*lines: str) -> None:
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--csv", type=Path, help=f"the {ROWS} rows as CSV, gzipped or not; downloaded without it")
    parser.add_argument("--base-url", default=UPSTREAM, help="where upstream's files are; file:// works too")
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "src/mnas/surrogates/data")
    parser.add_argument("--tables", action="store_true", help="print how good the fits in --out are")
    parser.add_argument("--only", nargs="*", metavar="NAME", help="of accuracy-mlp accuracy-trees zcu102 ...")
    return parser.parse_args()


if __name__ == "__main__":
    main()
