"""Every text of the panels fits and can be read, in each state, at every usual width, in light and dark."""

import pytest
from panel_layout import THEMES, contrast, faint_texts, faults, lay_out, recolor, theme
from panel_states import states

import host

WIDTHS = (360, 420, 600)


@pytest.fixture
def panels(clean, monkeypatch, tmp_path):
    """Panels whose models are those that ship."""
    monkeypatch.setenv("MEDDL_CACHE", str(tmp_path))
    yield
    for name in ("MedDLSeg", "MedDLRegister", "MedDLSuperRes"):
        module = host.load_module(name)
        for section in ("advanced", "help"):
            if hasattr(module.widget.ui, f"{section}CollapsibleButton"):
                getattr(module.widget.ui, f"{section}CollapsibleButton").collapsed = True
        for section in ("change", "compare", "prepare"):
            if hasattr(module.widget, section):
                getattr(module.widget, section).button.collapsed = True
        module.widget.run._show_idle()
        module.widget.ui.resultsCollapsibleButton.visible = False
        module.representation.setMinimumWidth(0)
        module.representation.setMaximumWidth(16777215)
        module.representation.window().hide()


@pytest.mark.parametrize("name", ["MedDLSeg", "MedDLRegister", "MedDLSuperRes"])
def test_nothing_is_cut_and_all_can_be_read(panels, name):
    found = set()
    for state in states(name):
        module = host.load_module(name)
        for width in WIDTHS:
            lay_out(module.representation, width)
            found |= {f"{state}, {width} px: {fault}" for fault in faults(module.representation)}
        for colors in THEMES:
            with theme(colors):
                recolor(module)
                found |= {f"{state}, {colors}: {fault}" for fault in faint_texts(module.representation)}
    assert not found, "\n".join(sorted(found))


def test_a_cut_and_a_faint_text_are_found(clean):
    import qt

    page = qt.QWidget()
    layout = qt.QVBoxLayout(page)
    for kind in (qt.QLabel, qt.QPushButton, qt.QCheckBox):
        layout.addWidget(kind("A text that is far too long for so narrow a panel"))
    faint = qt.QLabel("faint")
    faint.setStyleSheet("color: #999999; background-color: #ffffff")
    layout.addWidget(faint)
    lay_out(page, 120)
    found = "\n".join((*faults(page), *faint_texts(page)))
    assert found.count("for so narrow a panel' needs") == 3
    assert "'faint' has a contrast of 2.8" in found
    page.delete()


def test_what_overlaps_and_what_is_stretched_is_found(clean):
    import ctk
    import qt

    page = qt.QWidget()
    layout = qt.QVBoxLayout(page)
    section = ctk.ctkCollapsibleButton("Section")
    inside = qt.QVBoxLayout(section)
    for text in ("above", "below"):
        inside.addWidget(qt.QPushButton(text))
    table = qt.QTableWidget(1, 1)
    table.setItem(0, 0, qt.QTableWidgetItem("cell"))
    inside.addWidget(table)
    layout.addWidget(section)
    lay_out(page, 300)
    section.resize(section.width, section.height + 50)
    above, below = section.findChildren("QPushButton")
    above.resize(above.width, above.height + 12)
    found = "\n".join(faults(page))
    assert "QPushButton 'above' and QPushButton 'below' overlap by" in found
    assert "'Section' is stretched" in found
    assert "has room below its rows" in found
    page.delete()


def test_contrast_is_that_of_wcag():
    from PySide6.QtGui import QColor

    assert contrast(QColor("black"), QColor("white")) == pytest.approx(21.0)
    assert contrast(QColor("#777777"), QColor("white")) == pytest.approx(4.48, abs=0.01)
