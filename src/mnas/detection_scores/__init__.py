"""What a detector gets right: COCO's metrics, and the results that they are made of as files.

The metrics are faster-coco-eval's; its numbers are those of pycocotools. Results are COCO's too, so that a file
of them can be uploaded to a server or scored by other tools.
"""

from mnas.detection_scores._detections import Detections
from mnas.detection_scores._results import coco_results, read_results, write_results
from mnas.detection_scores._scores import DetectionClassScore, DetectionScores, detection_scores

__all__ = [
    "DetectionClassScore",
    "DetectionScores",
    "Detections",
    "coco_results",
    "detection_scores",
    "read_results",
    "write_results",
]
