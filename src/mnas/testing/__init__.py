"""Conformance suites: what mnas expects of a part, as tests that run on yours.

Whoever adds a search space, a controller, a device, a data set of labelled or of boxed images, an accuracy estimator
or an executor subclasses the suite of that kind, says how to make one, and lets pytest run what is inherited:

    from mnas.testing import ControllerConformance

    class TestMyController(ControllerConformance):
        def make(self, space, seed):
            return MyController(space, seed)

This package needs pytest; nothing else in mnas imports it.
"""

import pytest

# Before the suites are imported: their asserts then say what was compared, as asserts in test files do.
pytest.register_assert_rewrite(
    "mnas.testing._controller",
    "mnas.testing._dataset",
    "mnas.testing._detection_dataset",
    "mnas.testing._device",
    "mnas.testing._estimator",
    "mnas.testing._executor",
    "mnas.testing._space",
    "mnas.testing._splits",
    "mnas.testing._state",
)

from mnas.testing._controller import ControllerConformance  # noqa: E402
from mnas.testing._dataset import DatasetConformance  # noqa: E402
from mnas.testing._detection_dataset import DetectionDatasetConformance  # noqa: E402
from mnas.testing._device import DeviceConformance  # noqa: E402
from mnas.testing._estimator import EstimatorConformance  # noqa: E402
from mnas.testing._executor import ExecutorConformance  # noqa: E402
from mnas.testing._space import SpaceConformance  # noqa: E402
from mnas.testing._trials import simulated_trial  # noqa: E402

__all__ = [
    "ControllerConformance",
    "DatasetConformance",
    "DetectionDatasetConformance",
    "DeviceConformance",
    "EstimatorConformance",
    "ExecutorConformance",
    "SpaceConformance",
    "simulated_trial",
]
