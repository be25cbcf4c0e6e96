"""A profile from another device's: its costs, scaled to what few networks take here."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from mnas.devices import Device
from mnas.errors import SettingsError
from mnas.profiles import CostModel, Profile
from mnas.profiling._session import FEWEST, FEWEST_CHECKS, Session, Watch
from mnas.space import Architecture, SearchSpace

TRANSFER_NETWORKS = 10  # to learn from
TRANSFER_CHECKS = 10  # that the fit does not see, besides


def transfer_profile(
    device: Device,
    space: SearchSpace,
    like: Profile,
    networks: int = TRANSFER_NETWORKS,
    checks: int = TRANSFER_CHECKS,
    minutes: float = 15.0,
    seed: int = 0,
    settings: Mapping[str, Any] | None = None,
    watch: Watch = lambda phase: None,
) -> Profile:
    """A device's profile for a space, made from another device's and a few measurements.

    The costs of the other profile's kernels are scaled as a whole and by family of kernel to random networks measured
    here. Its error is that on further networks, also measured here, which the fit does not see.

    Args:
        device: whose latencies are to be predicted.
        space: whose networks they are to be predicted of; the other profile has to cover it.
        like: the other device's profile.
        networks: to learn from.
        checks: networks to check with, besides.
        minutes: of measuring, at most; where they end first, fewer networks have to do.
        seed: of which networks are measured.
        settings: the device's own [device] table, for measuring the front at the end of a search.
        watch: called with what is being done.

    Raises:
        SettingsError: the other profile does not cover the space, or was made before profiles kept what a transfer
            needs; a number out of range; too few networks in that time.
        StopError: hardly anything could be measured.
        DeviceError: the device stayed away after several tries.
    """
    for name, value, least in (("networks", networks, FEWEST), ("checks", checks, FEWEST_CHECKS)):
        if value < least:
            raise SettingsError(f"{name} should be at least {least} for a transfer, got {value}")
    if not minutes > 0:
        raise SettingsError(f"minutes should be above zero, got {minutes}")
    like.check_space(space)
    like.check_parts()
    session = Session(device, space, random.Random(seed), watch)
    gauge = _measure(session, networks, checks, 60 * minutes)
    watch("fitting")
    model = CostModel(session.observations, like=like)
    origin = {"device": like.device, "profile": like.version, "error": str(like.error)}
    return session.profile(model, settings or {}, gauge, origin)


def _measure(session: Session, networks: int, checks: int, limit_s: float) -> Architecture:
    """So many networks to learn from and to check with, by turns; the first of them."""
    wanted = {"network": networks, "check": checks}
    queue = session.fresh_networks(2 * (networks + checks))  # some may be refused
    first = queue[0]
    while queue and any(wanted.values()) and session.elapsed_s < limit_s:
        kind = max(wanted, key=lambda kind: wanted[kind] / (networks if kind == "network" else checks))
        refused = len(session.refused)
        session.watch(f"measurement {session.count + 1} of {networks + checks}, {kind}")
        session.measure(kind, queue.pop(0))
        wanted[kind] -= len(session.refused) == refused
    if len(session.observations) < FEWEST or len(session.checked) < FEWEST_CHECKS:
        raise session.too_little()
    return first
