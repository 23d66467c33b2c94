"""What takes a tuner's place in NNI's experiment: it starts a trial of NNI for every trial of the run, in their order.

So a trial has the same number here and there, until one is trained in several steps: each is a trial here. It proposes
nothing: explorers do that, in the driver.
"""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

from nni.runtime.msg_dispatcher_base import MsgDispatcherBase
from nni.runtime.tuner_command_channel import CommandType

from dse.ui.nni import spool

POLL_S = 0.5


class Mirror(MsgDispatcherBase):  # type: ignore[misc]  # NNI has no types
    """Follows the spool folder."""

    def __init__(self, folder: str) -> None:
        super().__init__()
        self.folder = Path(folder)

    def handle_initialize(self, data: Any) -> None:
        """NNI is ready."""
        self.send(CommandType.Initialized, "")
        threading.Thread(target=self._follow, daemon=True).start()

    def _follow(self) -> None:
        (self.folder / spool.READY).touch()
        number = 0
        while not self.stopping:
            if (proposed := spool.proposed(self.folder, number)) is not None:
                self.send(
                    CommandType.NewTrialJob,
                    json.dumps(
                        {
                            "parameter_id": number,
                            "parameters": proposed,
                            "parameter_source": "algorithm",
                            "parameter_index": 0,
                        }
                    ),
                )
                number += 1
            else:
                time.sleep(POLL_S)

    def handle_report_metric_data(self, data: Any) -> None:
        """A relay that asks for parameters asks to be stopped early; all else is for the web UI only."""
        if data["type"] == "REQUEST_PARAMETER":
            self.send(CommandType.KillTrialJob, json.dumps(data["trial_job_id"]))

    def handle_request_trial_jobs(self, data: Any) -> None:
        """NNI has room; trials come when the search has them."""

    def handle_trial_end(self, data: Any) -> None:
        """The study knows."""

    handle_update_search_space = handle_import_data = handle_add_customized_trial = handle_trial_end
