"""A row of buttons under a panel's results: copy and save the table, plot it, save a sheet of pictures."""

import qt
import slicer
from slicer.i18n import tr as _

from meddl.core.errors import Cancelled
from meddl_slicer.mrml.tables import STRUCTURE, VOLUME
from meddl_slicer.sections.comparison.plots import bar_chart, show_chart
from meddl_slicer.sections.results.verb import save_sheet, save_table

PLOT_ROLE = "MedDL.VolumePlot"


class ResultActions:
    """Buttons for the result that the panel shows; those that it has no use for are hidden.

    Args:
        ui: the panel's widgets; the row is the last in resultsCollapsibleButton.
        name: of the buttons' objects begins with it.
        copy: called without arguments to copy the panel's table.
    """

    def __init__(self, ui, name: str, copy=lambda: None):
        self._tableNode = self._pictured = self._task = None
        row = qt.QHBoxLayout()
        self.copyButton, self.csvButton, self.plotButton, self.pictureButton = (
            self._button(row, f"{name}{key}Button", *texts) for key, texts in {
                "Copy": (_("Copy"), _("Put the table into the clipboard, for a spreadsheet")),
                "Csv": (_("CSV..."), _("Save the table as a CSV file")),
                "Plot": (_("Plot"), _("Show the volumes of the structures as bars in a plot view")),
                "Picture": (_("Picture..."), _("Save slices of the result with captions and a legend as a PNG file")),
            }.items())
        ui.resultsCollapsibleButton.layout().addLayout(row)
        self.copyButton.connect("clicked(bool)", lambda checked: copy())
        self.csvButton.connect("clicked(bool)", self.onCsv)
        self.plotButton.connect("clicked(bool)", self.onPlot)
        self.pictureButton.connect("clicked(bool)", self.onPicture)
        self.show()

    def show(self, tableNode=None, pictured=None) -> None:
        """Offer what can be done with a result.

        Args:
            tableNode: its table; None: it has none.
            pictured: volume node, result node and whether that is the super-resolution of it; None: no pictures.
        """
        self._tableNode = tableNode
        self._pictured = None if pictured is None or None in pictured[:2] else pictured
        for button in (self.copyButton, self.csvButton):
            button.visible = tableNode is not None
        self.plotButton.visible = tableNode is not None and tableNode.GetTable().GetColumnByName(VOLUME) is not None
        self.pictureButton.visible = self._pictured is not None

    def close(self) -> None:
        """Hold no node any more, stop what is being drawn."""
        task, self._task, self._tableNode, self._pictured = self._task, None, None, None
        if task is not None:
            task.cancel()

    def onCsv(self, checked: bool = False) -> None:
        """Ask for a file and write the table."""
        with slicer.util.tryWithErrorDisplay(_("The table could not be saved.")):
            path = _ask(self._tableNode.GetName(), "csv", _("Tables (*.csv)"))
            if path:
                save_table(path, self._tableNode)

    def onPlot(self, checked: bool = False) -> None:
        """Show the volumes as bars; the plot of an earlier result of this table is renewed."""
        with slicer.util.tryWithErrorDisplay(_("The table could not be plotted.")):
            chart = self._tableNode.GetNodeReference(PLOT_ROLE)
            if chart is None:
                chart, _series = bar_chart(self._tableNode, STRUCTURE, VOLUME, self._tableNode.GetName())
                self._tableNode.SetNodeReferenceID(PLOT_ROLE, chart.GetID())
            show_chart(chart)

    def onPicture(self, checked: bool = False) -> None:
        """Ask for a file and draw the sheet, in the worker."""
        with slicer.util.tryWithErrorDisplay(_("The picture could not be saved.")):
            volume, result, sharper = self._pictured
            path = _ask(result.GetName(), "png", _("Pictures (*.png)"))
            if path:
                self.pictureButton.enabled = False
                self._task = save_sheet(path, volume, result, sharper=sharper, wait=False, onDone=self._onDrawn)

    def _onDrawn(self, task) -> None:
        if self._task is None:  # the panel has gone
            return
        self._task = None
        self.pictureButton.enabled = True
        if task.error is not None and not isinstance(task.error, Cancelled):
            slicer.util.errorDisplay(_("The picture could not be saved: {error}").format(error=task.error),
                                     windowTitle=_("MedDL"))

    @staticmethod
    def _button(row, name: str, text: str, tip: str):
        button = qt.QPushButton(text)
        button.objectName, button.toolTip = name, tip
        row.addWidget(button)
        return button


def _ask(name: str, suffix: str, kinds: str) -> str:
    """A file to save to, with its suffix; empty where the user gave up."""
    path = str(qt.QFileDialog.getSaveFileName(slicer.util.mainWindow(), _("Save"), f"{name}.{suffix}", kinds) or "")
    return path if not path or path.lower().endswith(f".{suffix}") else f"{path}.{suffix}"
