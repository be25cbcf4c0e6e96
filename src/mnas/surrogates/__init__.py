"""Fitted models of real trainings and measurements: plain arrays and numpy, no hardware and no images.

Each model is one safetensors file in `data/`, made by `scripts/fit_surrogates.py` from Accel-NASBench and
shipped with its provenance (docs/surrogates.md). `mnas.accuracy.SurrogateAccuracy` and
`mnas.devices.SurrogateDevice` are what a search uses; this package is what both are made of.
"""

from mnas.surrogates._domain import FEW_ROWS, Domain
from mnas.surrogates._encoder import Encoder, encoder
from mnas.surrogates._file import SurrogateFile, read_surrogate_file, write_surrogate_file
from mnas.surrogates._inputs import Inputs, network_inputs
from mnas.surrogates._mlp import MlpEnsemble
from mnas.surrogates._prediction import Prediction
from mnas.surrogates._surrogate import Surrogate, load_surrogate, surrogate_names
from mnas.surrogates._tables import NO_CHOICE, TableSum

__all__ = [
    "FEW_ROWS",
    "NO_CHOICE",
    "Domain",
    "Encoder",
    "Inputs",
    "MlpEnsemble",
    "Prediction",
    "Surrogate",
    "SurrogateFile",
    "TableSum",
    "encoder",
    "load_surrogate",
    "network_inputs",
    "read_surrogate_file",
    "surrogate_names",
    "write_surrogate_file",
]
