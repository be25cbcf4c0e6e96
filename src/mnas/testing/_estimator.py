"""What every accuracy estimator promises."""

from __future__ import annotations

import math
import pickle

from mnas.accuracy import AccuracyEstimate, AccuracyEstimator
from mnas.space import Architecture


class EstimatorConformance:
    """Tests for an accuracy estimator: subclass it and give `make` and, if need be, `architecture`.

    class TestMyEstimator(EstimatorConformance):
        def make(self):
            return MyEstimator(epochs=1)
    """

    def make(self) -> AccuracyEstimator:
        """A new estimator, equal each time; as quick as it can be."""
        raise NotImplementedError("give make(self), which returns the estimator to test")

    def architecture(self) -> Architecture:
        """A small network for the estimator's data."""
        return Architecture.parse("input_r32_c3 stem_k3_s2_c8 ir_r2_k3_s2_e3_c16_se0.25 head_c32_n10")

    def test_an_accuracy_is_a_fraction(self) -> None:
        """From 0 to 1, never percent; so is each point of the curve. Seconds are not negative."""
        estimate = self.make().estimate(self.architecture(), seed=0)
        assert isinstance(estimate, AccuracyEstimate)
        assert 0 <= estimate.accuracy <= 1
        assert isinstance(estimate.curve, tuple)
        assert all(0 <= point <= 1 for point in estimate.curve)
        assert 0 <= estimate.seconds < math.inf

    def test_the_same_seed_gives_the_same_accuracy(self) -> None:
        """Bit for bit, from the same estimator and from a new one."""
        estimator = self.make()
        first = estimator.estimate(self.architecture(), seed=17)
        for again in (estimator, self.make()):
            estimate = again.estimate(self.architecture(), seed=17)
            assert (estimate.accuracy, estimate.curve) == (first.accuracy, first.curve)

    def test_it_can_be_pickled(self) -> None:
        """Before and after use; the copy, in whatever process, estimates the same."""
        estimator = self.make()
        unused = pickle.loads(pickle.dumps(estimator))
        first = estimator.estimate(self.architecture(), seed=3)
        used = pickle.loads(pickle.dumps(estimator))
        for copy in (unused, used):
            assert copy.task == estimator.task
            assert copy.estimate(self.architecture(), seed=3).accuracy == first.accuracy

    def test_the_task_is_named(self) -> None:
        """The same words for estimators made alike, before and after use: accuracies are compared by them."""
        estimator = self.make()
        task = estimator.task
        assert isinstance(task, str)
        assert task.strip()
        estimator.estimate(self.architecture(), seed=0)
        assert estimator.task == task
        assert self.make().task == task

    def test_the_architecture_is_left_alone(self) -> None:
        """An estimate reads the architecture and keeps nothing of it."""
        architecture = self.architecture()
        before = (str(architecture), architecture.id)
        self.make().estimate(architecture, seed=0)
        assert (str(architecture), architecture.id) == before
