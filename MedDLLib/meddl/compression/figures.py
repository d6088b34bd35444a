"""The figures of a compression in words and as rows of a table."""

from typing import Any


def in_words(figures: dict[str, Any]) -> list[str]:
    """What a compression has changed, sentence by sentence: `figures` of a `ShrunkModel`."""
    lines = []
    if "speedup" in figures:
        lines.append("{:.2f} times as fast: {:.2f} s before, {:.2f} s after.".format(figures["speedup"],
                                                                                     *figures["seconds"]))
    if "bytes" in figures:
        lines.append("File: {:.2f} MB before, {:.2f} MB after.".format(*(one / 1e6 for one in figures["bytes"])))
    if "dice" in figures:
        lines.append("Mean Dice {:.4f} before, {:.4f} after.".format(*figures["dice"]))
    if "agreement" in figures:
        lines.append(f"Mean Dice with the labels before: {figures['agreement']:.4f}.")
    if "equal_labels" in figures:
        lines.append(f"8 bits keep the label of {100 * figures['equal_labels']:.3f} % of the voxels.")
    checked = figures["checked"]
    return [*lines, f"Checked on {checked} volume{'' if checked == 1 else 's'}."]


def as_rows(figures: dict[str, Any]) -> list[tuple[str, float, float]]:
    """(name, before, after) of what was measured: seconds, size, and the Dice, mean and of each structure.

    Args:
        figures: of a `ShrunkModel` or a `ShrinkRefusal`. Without labels the Dice is that with the labels before.
    """
    rows = []
    if "seconds" in figures:
        rows.append(("Seconds a volume", *figures["seconds"]))
    if "parameters" in figures:
        rows.append(("Million parameters", *(one / 1e6 for one in figures["parameters"])))
    if "bytes" in figures:
        rows.append(("File [MB]", *(one / 1e6 for one in figures["bytes"])))
    if "agreement" in figures:
        rows.append(("Mean Dice", *figures.get("dice", (1.0, figures["agreement"]))))
    return rows + [(f"Dice, {name}", *pair) for name, pair in figures.get("structures", {}).items()]
