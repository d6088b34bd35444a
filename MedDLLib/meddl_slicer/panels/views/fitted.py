"""Tables and texts of the panels that are as high as what they show; beyond a limit they scroll."""

import math

import qt

MOST = 220  # pixels


def fit_table(table, most: int = MOST) -> None:
    """Let a QTableWidget be as high as its rows, at most so many pixels."""
    table.setSizeAdjustPolicy(qt.QAbstractScrollArea.AdjustToContents)
    table.setSizePolicy(qt.QSizePolicy.Expanding, qt.QSizePolicy.Fixed)
    table.minimumHeight, table.maximumHeight = 0, most


def fit_text(browser, most: int = MOST) -> None:
    """Let a QTextBrowser be as high as its text, at most so many pixels."""

    def fit(size) -> None:
        browser.minimumHeight = browser.maximumHeight = min(
            most, math.ceil(size.height()) + 2 * browser.frameWidth)

    browser.document.documentLayout().connect("documentSizeChanged(QSizeF)", fit)
