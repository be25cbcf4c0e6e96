"""Several small networks, each of one hidden layer, whose mean is the prediction and whose spread is a warning."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mnas.surrogates._encoder import TokenArray, encoder
from mnas.surrogates._file import SurrogateFile
from mnas.surrogates._inputs import Floats, Projection

_CHUNK = 256  # networks at a time, so that what is in between stays in the processor's cache


class MlpEnsemble:
    """`members` networks: silu(inputs @ first + bias) @ second + inputs @ straight + offset."""

    def __init__(self, file: SurrogateFile) -> None:
        second = file.array("mlp_second").astype(np.float32)  # (members, hidden)
        self._members, self._hidden = second.shape
        # Hidden units of all members side by side, then one straight (linear) output per member.
        self._first = Projection(file.array("mlp_first").astype(np.float32))
        self._bias = file.array("mlp_bias").astype(np.float32)
        self._second = second
        self._scale = np.float64(file.array("mlp_scale")[0])
        self._middle = np.float64(file.array("mlp_middle")[0])

    def __call__(self, tokens: TokenArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean and standard deviation over the members, each (networks,)."""
        values = self.members(tokens)
        return values.mean(axis=1), values.std(axis=1, ddof=1)

    def members(self, tokens: TokenArray) -> NDArray[np.float64]:
        """What each member says: (networks, members)."""
        values = np.empty((len(tokens), self._members), dtype=np.float64)
        for start in range(0, len(tokens), _CHUNK):
            values[start : start + _CHUNK] = self._outputs(tokens[start : start + _CHUNK])
        scaled: NDArray[np.float64] = values * self._scale + self._middle
        return scaled

    def _outputs(self, tokens: TokenArray) -> Floats:
        both = self._first(encoder().combinations(tokens)) + self._bias
        hidden, straight = both[:, : self._second.size], both[:, self._second.size :]
        hidden = hidden / (1 + np.exp(-hidden))
        units = hidden.reshape(-1, self._members, self._hidden) * self._second
        outputs: Floats = units.sum(axis=2) + straight
        return outputs
