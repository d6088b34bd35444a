"""Draws each panel in each of its states, as pictures to look at: nothing chosen, every method, running, done, warned.

    python Testing/draw_states.py FOLDER [--modules MedDLSeg ...] [--widths 360 420 600] [--themes light dark]

The states are those that the layout test walks, over the stand-in for Slicer's application.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ["MEDDL_CACHE"] = tempfile.mkdtemp()  # the models that ship, and no more
ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "MedDLLib"), str(ROOT / "Testing" / "Python"), str(ROOT / "Testing" / "Python" / "support")]

import host  # noqa: E402

host.install()

from bridge_scene import worker_for_tests  # noqa: E402
from panel_layout import THEMES, lay_out, recolor, theme  # noqa: E402
from panel_states import states  # noqa: E402

MODULES = ("MedDLSeg", "MedDLRegister", "MedDLSuperRes")


def draw(module: str, widths: list[int], colors: list[str], folder: Path) -> int:
    """Writes FOLDER/MODULE-NUMBER-STATE-WIDTH-THEME.png for each state; returns how many."""
    drawn = 0
    for number, state in enumerate(states(module)):
        panel = host.load_module(module).representation
        for name in colors:
            with theme(name):
                recolor(host.load_module(module))
                for width in widths:
                    lay_out(panel, width)
                    words = re.sub(r"\W+", "-", state).strip("-")
                    path = folder / f"{module}-{number:02d}-{words}-{width}-{name}.png"
                    if not panel.grab().save(str(path)):
                        raise OSError(f"The picture could not be written to {path}")
                    drawn += 1
    return drawn


def main() -> None:
    """Draws the states named on the command line, or all."""
    parser = argparse.ArgumentParser(description="Draw each panel in each of its states.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--modules", nargs="+", choices=MODULES, default=MODULES)
    parser.add_argument("--widths", nargs="+", type=int, default=[360, 420, 600])
    parser.add_argument("--themes", nargs="+", choices=tuple(THEMES), default=tuple(THEMES))
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    with worker_for_tests():
        for module in arguments.modules:
            host.clear_scene()
            print(f"{module}: {draw(module, arguments.widths, arguments.themes, arguments.folder)} pictures")
        host.clear_scene()


if __name__ == "__main__":
    main()
