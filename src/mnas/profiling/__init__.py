"""Making a profile: what `mnas profile` does. It needs of a device nothing but `measure`."""

from mnas.profiling._making import MOST, make_profile
from mnas.profiling._transfer import TRANSFER_CHECKS, TRANSFER_NETWORKS, transfer_profile

__all__ = ["MOST", "TRANSFER_CHECKS", "TRANSFER_NETWORKS", "make_profile", "transfer_profile"]
