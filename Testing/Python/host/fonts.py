"""A font with which offscreen Qt can draw text."""

from pathlib import Path

from PySide6 import QtGui


def ensure_fonts(application):
    """Add matplotlib's DejaVu Sans where the system offers no font; make DejaVu Sans the default."""
    if not QtGui.QFontDatabase.families():
        import matplotlib

        folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
        for name in ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf", "DejaVuSans-Oblique.ttf", "DejaVuSansMono.ttf"):
            QtGui.QFontDatabase.addApplicationFont(str(folder / name))
    if "DejaVu Sans" in QtGui.QFontDatabase.families():
        application.setFont(QtGui.QFont("DejaVu Sans", 9))
