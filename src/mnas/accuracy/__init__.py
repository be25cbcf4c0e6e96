"""Architecture -> accuracy, in minutes where the full training takes days."""

from mnas.accuracy._contract import AccuracyEstimate, AccuracyEstimator
from mnas.accuracy._interval import binomial_interval
from mnas.accuracy._proxy import ProxyTask, Retrained, retrain
from mnas.accuracy._simulated import SimulatedAccuracy

__all__ = [
    "AccuracyEstimate",
    "AccuracyEstimator",
    "ProxyTask",
    "Retrained",
    "SimulatedAccuracy",
    "binomial_interval",
    "retrain",
]
