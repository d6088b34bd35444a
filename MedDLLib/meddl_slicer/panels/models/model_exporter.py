"""Exporting a model from a panel: a button with a menu; the worker writes."""

from pathlib import Path

import qt
import slicer
from slicer.i18n import tr as _

from meddl.core.errors import Cancelled
from meddl.models.store.store import ModelStore
from meddl_slicer.runs import tasks
from meddl_slicer.runs.packages import dependencies

EXPORT = "meddl_slicer.runs.remote:export_model"


class ModelExporter:
    """Gives a button its menu, and runs one export at a time.

    Args:
        button: a push button.
        chosen: gives the identifier of the model.
    """

    def __init__(self, button, chosen):
        self._button, self._chosen, self._task = button, chosen, None
        menu = qt.QMenu(button)
        for text, kind in ((_("MedDL archive..."), "zip"), (_("nnU-Net folder..."), "nnunet"),
                           (_("MONAI bundle..."), "monai")):
            menu.addAction(text).connect("triggered(bool)", lambda checked, kind=kind: self.export(kind))
        button.setMenu(menu)

    def export(self, kind: str) -> None:
        """Ask for a place and write the chosen model there, as an archive or into a new folder."""
        with slicer.util.tryWithErrorDisplay(_("The model could not be exported.")):
            identifier = self._chosen()
            place = _ask_for_archive(identifier) if kind == "zip" else _ask_for_folder(identifier, kind)
            if not place or self._task is not None:
                return
            dependencies.ensure()
            self._button.enabled = False
            self._task = task = tasks.run(EXPORT, identifier, place, kind, cache=str(ModelStore().cache), wait=False,
                                          onDone=self._onDone)
            if task.done:  # it ended before it was known here
                self._task = None

    def close(self) -> None:
        """Stop, and touch the button no more: it is about to be deleted."""
        task, self._task, self._button = self._task, None, None
        if task is not None:
            task.cancel()

    def _onDone(self, task) -> None:
        self._task = None
        if self._button is None:
            return
        self._button.enabled = True
        if task.state == "done":
            slicer.util.infoDisplay("\n\n".join([_("The model was exported to {place}").format(place=task.result()[0]),
                                                 *task.result()[1]]), _("MedDL"))
        elif not isinstance(task.error, Cancelled):
            slicer.util.errorDisplay(
                _("The model could not be exported.\n\n{error}").format(error=task.error), windowTitle=_("MedDL"),
                detailedText=getattr(task.error, "details", "") or repr(task.error))


def _ask_for_archive(identifier: str) -> str:
    """The path of an archive to write; empty where the user gave up."""
    return str(qt.QFileDialog.getSaveFileName(slicer.util.mainWindow(), _("Export the model"), f"{identifier}.zip",
                                              _("Archives (*.zip)")) or "")


def _ask_for_folder(identifier: str, kind: str) -> str:
    """The path of a new folder within one that the user chooses; empty where the user gave up."""
    parent = str(qt.QFileDialog.getExistingDirectory(slicer.util.mainWindow(), _("Export the model into a folder"))
                 or "")
    return str(Path(parent) / f"{identifier}-{kind}") if parent else ""
