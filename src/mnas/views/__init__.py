"""What the page and the reports show of a run, as typed plain values, read from its folder while it goes on.

    view = RunView(Path("runs/quickstart-20260101-120000"))
    view.description(), view.trials(), view.network(17), view.search(), view.machines()

Its own room because three things show the same: the served page (`mnas.board`), the page in one file and the text
(`mnas.report`). It knows nothing of any of them.
"""

from mnas.views._conditions import conditions, with_interval
from mnas.views._errors import NotThereError
from mnas.views._models import (
    MachinesView,
    NetworkView,
    Problem,
    RunDescription,
    RunList,
    RunSummary,
    SearchView,
    TrialTable,
)
from mnas.views._network import trained_file
from mnas.views._run_view import TRIAL_COLUMNS, RunView
from mnas.views._verdict import dominance, verdict

__all__ = [
    "TRIAL_COLUMNS",
    "MachinesView",
    "NetworkView",
    "NotThereError",
    "Problem",
    "RunDescription",
    "RunList",
    "RunSummary",
    "RunView",
    "SearchView",
    "TrialTable",
    "conditions",
    "dominance",
    "trained_file",
    "verdict",
    "with_interval",
]
