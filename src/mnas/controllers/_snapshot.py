"""How a controller's state becomes JSON values and back: arrays as their plain bytes, never by pickle."""

from __future__ import annotations

import base64
import random
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from mnas.space import Tokens

if TYPE_CHECKING:
    from numpy.typing import NDArray  # only controllers that have arrays need numpy


def packed(array: NDArray[Any]) -> dict[str, Any]:
    """An array as JSON values, bit by bit."""
    data = base64.b64encode(array.tobytes()).decode("ascii")
    return {"dtype": array.dtype.str, "shape": list(array.shape), "data": data}


def unpacked(value: Mapping[str, Any]) -> NDArray[Any]:
    """The inverse of `packed`.

    Raises:
        ValueError: its bytes do not fill its shape.
    """
    import numpy as np

    array = np.frombuffer(base64.b64decode(value["data"], validate=True), dtype=np.dtype(value["dtype"]))
    return array.reshape(value["shape"]).copy()


def packed_random(generator: random.Random) -> list[Any]:
    """A generator's state as JSON values."""
    version, numbers, gauss = generator.getstate()
    return [version, list(numbers), gauss]


def unpacked_random(value: Any) -> random.Random:
    """A generator in that state."""
    version, numbers, gauss = value
    generator = random.Random()
    generator.setstate((version, tuple(numbers), gauss))
    return generator


def unpacked_tokens(rows: Iterable[Iterable[int]]) -> list[Tokens]:
    """Tokens from lists of numbers."""
    return [tuple(row) for row in rows]
