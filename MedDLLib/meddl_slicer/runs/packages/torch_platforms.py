"""Computers and builds of Slicer for which there is no PyTorch that is new enough."""

import platform
import subprocess
import sys

_SYSCTL = "/usr/sbin/sysctl"


def why_no_torch() -> str | None:
    """Why no PyTorch that MedDL can use exists for this Slicer, and what helps; None where one does."""
    if sys.platform != "darwin" or platform.machine() != "x86_64":
        return None
    if _is_translated():
        return ("This Slicer is the build for Intel processors and runs under Rosetta, where PyTorch ends with "
                "version 2.2, which is too old for MedDL. Install the build of Slicer for Apple silicon (arm64) "
                "and MedDL in it: there PyTorch also uses the graphics processor.")
    return ("For Macs with an Intel processor PyTorch ends with version 2.2, which is too old for MedDL. Use a Mac "
            "with Apple silicon, or a computer with Windows or Linux.")


def _is_translated() -> bool:
    """Whether this x86-64 process runs on an Apple silicon processor, under Rosetta."""
    try:
        found = subprocess.run([_SYSCTL, "-n", "sysctl.proc_translated"], capture_output=True, text=True, timeout=5,
                                check=False)
    except (OSError, subprocess.SubprocessError):
        return False
    return found.stdout.strip() == "1"  # Intel Macs do not know the name and print an error
