"""ONNX files of detectors: boxes decoded, and non-maximum suppression inside if asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from mnas.errors import SettingsError
from mnas.export._decoded_detector import MOST_GROWTH, SIZE_WEIGHT, Decoding
from mnas.export._onnx import DETECTED, Array, onnx_model
from mnas.export._onnx_int8 import onnx_int8_model
from mnas.models import Detector
from mnas.models._detections import MOST, MOST_OVERLAP, MOST_PER_CLASS

BOXES, SCORES, CLASSES = "boxes", "scores", "classes"  # the outputs


def onnx_detector_model(
    detector: Detector,
    *,
    is_multilabel: bool = False,
    nms_above: float | None = None,
    dynamic_batch: bool = False,
    calibration: Sequence[Array] | None = None,
) -> onnx.ModelProto:
    """The graph of `onnx_model` with what comes after: boxes and scores in place of encodings and logits.

    Outputs are "boxes" (batch, default boxes, 4), x1, y1, x2, y2 as fractions of the image, clipped to it, and
    "scores" (batch, default boxes, classes), by a softmax over background and classes or, `is_multilabel`, a sigmoid
    of each. With `nms_above` they are what `detections_of` finds on one image that scores more than that, at most
    100 by falling score: "boxes" (found, 4), "scores" (found,) and "classes" (found,), int64.

    With `calibration`, as of `onnx_int8_model`, the network is in int8; what comes after it stays in float.

    Raises:
        SettingsError: `nms_above` together with `dynamic_batch`: images have different numbers of detections.
    """
    if nms_above is not None and dynamic_batch:
        raise SettingsError("non-maximum suppression inside a file is of one image: leave out it or dynamic_batch")
    if calibration is None:
        model = onnx_model(detector, dynamic_batch=dynamic_batch)
    else:
        model = onnx_int8_model(detector, calibration, dynamic_batch=dynamic_batch)
    tail = _Tail(model.graph, detector, is_multilabel)
    if nms_above is None:
        tail.decode(BOXES, SCORES)
    else:
        tail.decode("all_boxes", "all_scores")
        tail.suppress("all_boxes", "all_scores", nms_above)
    return model


class _Tail:
    """Appends nodes to a detector's graph."""

    def __init__(self, graph: onnx.GraphProto, detector: Detector, is_multilabel: bool) -> None:
        self.graph = graph
        self.decoding = Decoding.of(detector.architecture)
        self.classes = detector.architecture.head.classes
        self.is_multilabel = is_multilabel

    def decode(self, boxes: str, scores: str) -> None:
        """Boxes and scores, under these names, in place of what the detector's module gives."""
        joins = next(node for node in self.graph.node if DETECTED in node.output)  # both, into one tensor
        encodings, logits = joins.input
        self.graph.node.remove(joins)
        first = self.graph.output.pop().type.tensor_type.shape.dim[0]
        self._boxes(encodings, boxes)
        self._scores(logits, scores)
        batch, count = first.dim_param or first.dim_value, len(self.decoding.middles)
        self._output(boxes, TensorProto.FLOAT, [batch, count, 4])
        self._output(scores, TensorProto.FLOAT, [batch, count, self.classes])

    def suppress(self, boxes: str, scores: str, above: float) -> None:
        """What `detections_of` does next: of each class its best, those that overlap a better one left out.

        NonMaxSuppression has a batch of images with the same boxes for all classes. Here its batch is the classes,
        because each has its own best boxes.
        """
        least = self._constant("least", np.float32(above))
        self._thin_out(boxes, scores, least)
        self._node("Transpose", ["by_class"], ["some_scores"], perm=[2, 0, 1])  # (classes, 1, boxes)
        self._node("Shape", ["box_count"], ["some_scores"], start=1, end=2)
        self._node("Min", ["candidates"], ["box_count", self._integers("most_per_class", MOST_PER_CLASS)])
        self._node("TopK", ["best", "rows"], ["by_class", "candidates"], axis=2, sorted=0)  # what is next sorts too
        self._node("Gather", ["best_boxes"], ["some_boxes", "rows"], axis=0)  # (classes, 1, candidates, 4)
        self._node("Squeeze", ["nms_boxes"], ["best_boxes", self._integers("image_axis", 1)])
        # No more of a class than of all. Gives rows of: class, 0, candidate.
        limits = [self._integers("most", MOST), self._constant("overlap", np.float32(MOST_OVERLAP)), least]
        self._node("NonMaxSuppression", ["kept"], ["nms_boxes", "best", *limits])
        self._best_of_all()

    def _thin_out(self, boxes: str, scores: str, least: str) -> None:
        """The boxes that can be a detection: something of them is on the image, and a class scores enough."""
        self._node("Split", ["box_low", "box_high"], [boxes], axis=2)
        self._node("Sub", ["sides"], ["box_high", "box_low"])
        self._node("ReduceMin", ["shorter"], ["sides"], axes=[0, 2], keepdims=0)
        self._node("Greater", ["has_area"], ["shorter", "zero"])
        self._node("ReduceMax", ["best_score"], [scores], axes=[0, 2], keepdims=0)
        self._node("Greater", ["is_enough"], ["best_score", least])
        self._node("And", ["is_candidate"], ["has_area", "is_enough"])
        self._node("Squeeze", ["one_image"], [boxes, self._integers("batch_axis", 0)])
        self._node("Compress", ["some_boxes"], ["one_image", "is_candidate"], axis=0)  # (some, 4)
        self._node("Compress", ["some_scores"], [scores, "is_candidate"], axis=1)  # (1, some, classes)

    def _best_of_all(self) -> None:
        """The best of what is kept, whatever the class."""
        self._node("GatherND", ["kept_scores"], ["best", "kept"])
        self._node("Shape", ["kept_count"], ["kept_scores"])
        self._node("Min", ["count"], ["kept_count", "most"])
        self._node("TopK", [SCORES, "order"], ["kept_scores", "count"], axis=0)
        self._node("Gather", ["found"], ["kept", "order"], axis=0)
        self._node("GatherND", [BOXES], ["best_boxes", "found"])
        self._node("Gather", [CLASSES], ["found", self._constant("class_column", np.int64(0))], axis=1)
        del self.graph.output[:]
        self._output(BOXES, TensorProto.FLOAT, ["found", 4])
        self._output(SCORES, TensorProto.FLOAT, ["found"])
        self._output(CLASSES, TensorProto.INT64, ["found"])

    def _boxes(self, encodings: str, boxes: str) -> None:
        steps, middles, halves = (
            self._constant(name, getattr(self.decoding, name).numpy()) for name in ("steps", "middles", "halves")
        )
        size_weight, most_growth, zero, one = (
            self._constant(name, np.float32(value))
            for name, value in (("size_weight", SIZE_WEIGHT), ("most_growth", MOST_GROWTH), ("zero", 0), ("one", 1))
        )
        self._node("Split", ["moves", "growths"], [encodings], axis=2)
        self._node("Mul", ["moved"], ["moves", steps])
        self._node("Add", ["middle"], ["moved", middles])
        self._node("Div", ["any_growth"], ["growths", size_weight])
        self._node("Min", ["growth"], ["any_growth", most_growth])
        self._node("Exp", ["factor"], ["growth"])
        self._node("Mul", ["half"], ["factor", halves])
        self._node("Sub", ["low"], ["middle", "half"])
        self._node("Add", ["high"], ["middle", "half"])
        self._node("Concat", ["unclipped"], ["low", "high"], axis=2)
        self._node("Clip", [boxes], ["unclipped", zero, one])

    def _scores(self, logits: str, scores: str) -> None:
        places = (("first_class", 1), ("last_class", 1 + self.classes), ("class_axis", 2))
        ends = [self._integers(name, value) for name, value in places]
        if self.is_multilabel:
            self._node("Slice", ["class_logits"], [logits, *ends])
            self._node("Sigmoid", [scores], ["class_logits"])
        else:
            self._node("Softmax", ["probabilities"], [logits], axis=2)
            self._node("Slice", [scores], ["probabilities", *ends])

    def _output(self, name: str, kind: int, shape: Sequence[int | str]) -> None:
        self.graph.output.append(helper.make_tensor_value_info(name, kind, shape))

    def _integers(self, name: str, *values: int) -> str:
        return self._constant(name, np.array(values, np.int64))

    def _constant(self, name: str, value: npt.NDArray[Any] | np.generic) -> str:
        self.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def _node(self, op: str, names: Sequence[str], inputs: Sequence[str], **attributes: Any) -> None:
        self.graph.node.append(helper.make_node(op, inputs, names, names[0], **attributes))
