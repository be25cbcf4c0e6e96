"""Predictor-guided search: learn from every trial what the next ones would give, and try the most promising.

Read `_guided.py` first. What it is after is in `_aims.py`, with the expected gains of `_acquisition.py`; what it
learns with in `_target_model.py` over `_predictor.py`, on what `_features.py` sees of a network; where it looks in
`_candidates.py`.
"""

from mnas.controllers.guided._guided import Guided

__all__ = ["Guided"]
