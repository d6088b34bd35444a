"""What workers run in tests of jobs, in place of a network: small, and as unreliable as told."""

import os
import signal
import time
from pathlib import Path

from meddl.core.errors import InputError


def label(case, output, model, config, *, frames=False, device="auto", threads=None, on_progress=None):
    """Writes the case's name; dies, fails or dawdles where its name says so, or a file beside its input does."""
    Path(output).parent.mkdir(parents=True, exist_ok=True)
    for step in range(40 if "slow" in case.name else 2):
        on_progress(step / 40, "Working")
        time.sleep(0.02)
    if "bad" in case.name:
        raise InputError("It is bad.")
    if "odd" in case.name:
        raise ZeroDivisionError("odd")
    once = Path(f"{output}.died")
    if "killer" in case.name or ("fragile" in case.name and not once.exists()):
        once.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    Path(output).write_text(f"{case.name} {os.getpid()}")
    return {"device": device, "component": None, "sha256": ["0" * 64],
            "frames": [{"volumes_ml": {"dim": 1.5}, "warnings": []}]}
