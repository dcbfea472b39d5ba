"""One start of a nightly in a process of its own, with a clock that stands still.

    nightly_process.py CONFIG NOW [a.b=c ...]

Prints what `mixlingual nightly` would, as JSON, and ends with its exit code.
"""

import json
import sys
from datetime import datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from cluster.logs import set_up_logs
from jobs.nightly.config import load_nightly
from jobs.nightly.night import run_night

if __name__ == "__main__":
    config, now, *overrides = sys.argv[1:]
    set_up_logs()
    done = run_night(load_nightly(Path(config), overrides), now=lambda: datetime.fromisoformat(now))
    print(json.dumps({"date": str(done.night.date) if done.night else None, "note": done.note}), flush=True)
    sys.exit(done.exit_code)
