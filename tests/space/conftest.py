from __future__ import annotations

from hypothesis import settings

# A shared machine stalls now and then; a slow example is no failure.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")
