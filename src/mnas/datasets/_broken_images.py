"""BrokenImages: images that cannot be read are left out, up to a limit."""

from __future__ import annotations

import logging

from mnas.datasets._decode import DecodeError, WrongSizeError
from mnas.errors import SettingsError

_log = logging.getLogger("mnas.datasets")
_NAMED = 5  # images that a message names


class BrokenImages:
    """Names and counts the images of a data set that cannot be read."""

    def __init__(self, place: str, images: int, limit: float, refuses_sizes: bool = False) -> None:
        """`images`: how many there are in that place; `limit`: the share of them that may be broken.

        `refuses_sizes`: whether a picture of another size than its annotations say stops at once.
        """
        self._place, self._images, self._limit = place, images, limit
        self._refuses_sizes = refuses_sizes
        self.reasons: dict[str, str] = {}

    def add(self, image: str, error: DecodeError) -> None:
        """One more; it is named in the log.

        Raises:
            SettingsError: there are now more than the limit, or it is of a size that is refused.
        """
        if image in self.reasons:
            return
        if self._refuses_sizes and isinstance(error, WrongSizeError):
            raise SettingsError(f'{image}: {error}; mend that, or leave such pictures out with on_fault = "drop"')
        self.reasons[image] = str(error)
        _log.warning("left out, not a readable image: %s (%s)", image, error)
        if len(self.reasons) > self._limit * self._images:
            raise SettingsError(
                f"{len(self.reasons)} of the {self._images} images in {self._place}, as far as they were read, are "
                f"broken: more than max_broken = {self._limit:g} allows. "
                f"Repair or remove them, or raise max_broken:\n{self._named()}"
            )

    def refuse_batch(self) -> None:
        """Raise SettingsError: a batch of a training has no readable image at all."""
        raise SettingsError(
            f"a whole batch of images in {self._place} is broken; repair or remove them, or take larger "
            f"batches:\n{self._named()}"
        )

    def _named(self) -> str:
        return "\n".join(f"  {image}: {reason}" for image, reason in list(self.reasons.items())[-_NAMED:])
