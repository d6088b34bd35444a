"""Pictures of widgets."""

from pathlib import Path


def screenshot(widget, path, width=None):
    """Write a PNG of a widget as it looks; `width` in pixels, the height follows its contents. Returns the path."""
    from . import stand_ins

    representation = getattr(widget, "parent", None)
    if not hasattr(widget, "grab") and representation is not None:
        widget = representation
    if width is not None:
        widget.setFixedWidth(width)
    window = widget.window()
    was_hidden = window.isHidden()
    widget.show()
    stand_ins.process_events(0.05)
    if widget is window:
        hint = widget.sizeHint()
        widget.resize(width or max(hint.width(), 420), hint.height())
        stand_ins.process_events(0.05)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if not widget.grab().save(str(path)):
        raise OSError(f"The picture could not be written to {path}")
    if was_hidden:
        window.hide()
    return path
