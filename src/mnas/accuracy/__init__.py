"""Architecture -> accuracy, in minutes where the full training takes days."""

from mnas.accuracy._contract import AccuracyEstimate, AccuracyEstimator
from mnas.accuracy._simulated import SimulatedAccuracy

__all__ = ["AccuracyEstimate", "AccuracyEstimator", "SimulatedAccuracy"]
