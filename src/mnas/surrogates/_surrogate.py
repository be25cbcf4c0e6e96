"""Surrogate: a fitted model with its error and its data, from a file of the package."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnas.errors import StopError, did_you_mean
from mnas.space import Architecture
from mnas.surrogates._domain import Domain
from mnas.surrogates._encoder import TokenArray, encoder
from mnas.surrogates._file import SurrogateFile, read_surrogate_file
from mnas.surrogates._mlp import MlpEnsemble
from mnas.surrogates._prediction import Prediction
from mnas.surrogates._tables import TableSum

DATA = Path(str(files("mnas.surrogates"))) / "data"
NAMES = ("accuracy-mlp", "accuracy-trees", "zcu102", "vck190", "a100", "3090", "tpuv2", "tpuv3")


class Surrogate:
    """Predicts one quantity of members of `accel-nasbench`.

        surrogate = load_surrogate("accuracy-mlp")
        prediction = surrogate.predict(architectures)      # .mean, .sd, .low, .high in percent
        prediction.far                                     # which of them lie far from the data
        surrogate.predict_tokens(tokens)                   # the same from an array (networks, 28), faster

    Two surrogates made from equal files predict alike; one network alone is predicted as among many.
    """

    def __init__(self, file: SurrogateFile) -> None:
        self.name = file.name
        self.provenance: Mapping[str, Any] = file.provenance
        self.sha256 = file.sha256
        self._domain = Domain(file)
        self._model = _model(file)
        # log(sd) = c0 + c1 log(spread of the ensemble) + c2 (mean - c3) + c4 distance; fitted out of fold.
        self._error = file.array("error_coefficients").astype(np.float64)
        self._factor_95 = float(file.array("error_factor_95")[0])
        self._is_log = bool(file.array("is_log")[0])  # the model gives the logarithm
        self._is_relative = bool(file.array("error_is_relative")[0])

    @property
    def version(self) -> str:
        """Eight hex digits that change with the fit."""
        return self.sha256[:8]

    def predict(self, architectures: Iterable[Architecture]) -> Prediction:
        """What some architectures have.

        Raises:
            SettingsError: one of them is not a member of `accel-nasbench`.
        """
        return self._predict(encoder().tokens(architectures))

    def predict_tokens(self, tokens: Any) -> Prediction:
        """What some rows of tokens have, shape (networks, 28).

        Raises:
            SettingsError: not whole numbers of that shape, or out of range.
        """
        return self._predict(encoder().checked(tokens))

    def _predict(self, tokens: TokenArray) -> Prediction:
        mean, spread = self._model(tokens)
        distance, alike, far = self._domain(tokens)
        c0, c1, c2, c3, c4 = self._error
        log_sd = c0 + c2 * (mean - c3) + c4 * distance
        if c1:
            log_sd = log_sd + c1 * np.log(spread)
        sd = np.exp(log_sd)
        if self._is_log:
            mean = np.exp(mean)
        low, high = self._interval(mean, sd)
        return Prediction(mean, sd * mean if self._is_relative else sd, low, high, distance, alike, far)

    def _interval(
        self, mean: NDArray[np.float64], sd: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        half = self._factor_95 * sd
        return (mean * np.exp(-half), mean * np.exp(half)) if self._is_relative else (mean - half, mean + half)


def surrogate_names() -> list[str]:
    """The surrogates that come with the package."""
    return list(NAMES)


@cache
def load_surrogate(name: str) -> Surrogate:
    """A surrogate that comes with the package, such as "accuracy-mlp" or "zcu102".

    Raises:
        SettingsError: unknown.
        StopError: its file is missing or damaged.
    """
    if name not in NAMES:
        raise did_you_mean("surrogate", name, NAMES)
    return Surrogate(read_surrogate_file(DATA / f"{name}.safetensors"))


def _model(file: SurrogateFile) -> Callable[[TokenArray], tuple[NDArray[np.float64], NDArray[np.float64]]]:
    kind = file.provenance.get("model")
    if kind == "mlp":
        return MlpEnsemble(file)
    if kind == "tables":
        tables = TableSum(file)
        return lambda tokens: (tables(tokens), np.ones(len(tokens)))
    raise StopError(f"surrogate {file.name!r} should have the model 'mlp' or 'tables', got {kind!r}")
