"""Installing a model from a panel: in the worker, with progress, cancelled by the same button."""

import slicer
from slicer.i18n import tr as _

from meddl.core.errors import Cancelled, ConfirmationError
from meddl.models.store.store import ModelStore
from meddl_slicer.runs import tasks

INSTALL = "meddl_slicer.runs.remote:install_catalog_model"
IMPORT = "meddl_slicer.runs.remote:import_model"


class ModelInstaller:
    """Drives a progress bar and a label for one installation at a time.

    Args:
        bar, label: shown while it runs.
        onChanged: called without arguments when an installation has begun or ended.
        onInstalled: called with the identifier of a model that is now installed.
    """

    def __init__(self, bar, label, onChanged, onInstalled):
        self._bar, self._label = bar, label
        self._onChanged, self._onInstalled = onChanged, onInstalled
        self._task = None
        self._path = ""
        self._show(False)

    @property
    def running(self) -> bool:
        """Whether an installation is under way."""
        return self._task is not None

    def install(self, identifier: str) -> None:
        """Install a model of the catalog."""
        self._start(INSTALL, identifier)

    def importFrom(self, path: str, confirmed: str | None = None) -> None:
        """Install what lies in a file or folder; a program only with the SHA-256 that the user has confirmed."""
        self._path = path
        self._start(IMPORT, path, **({} if confirmed is None else {"confirmed_sha256": confirmed}))

    def cancel(self) -> None:
        """Stop; what was downloaded is kept for the next time."""
        if self._task is not None:
            self._task.cancel(_("The installation was cancelled. The next one goes on where this one stopped."))

    def close(self) -> None:
        """Stop, and touch the widgets no more: they are about to be deleted."""
        task, self._task, self._bar = self._task, None, None
        if task is not None:
            task.cancel()

    def _start(self, target: str, what: str, **more) -> None:
        if self._task is not None:
            return
        self._show(True)
        self._label.text = _("Starting")
        self._task = task = tasks.run(target, what, cache=str(ModelStore().cache), wait=False, **more,
                                      onProgress=self._onProgress, onDone=self._onDone)
        if task.done:  # it ended before it was known here
            self._task = None
        self._onChanged()

    def _onProgress(self, fraction: float, message: str) -> None:
        if self._bar is not None:
            self._bar.value = round(100 * fraction)
            self._label.text = message

    def _onDone(self, task) -> None:
        if self._bar is None:
            return
        self._task = None
        self._show(False)
        if task.state == "done":
            self._onInstalled(task.result())
        self._onChanged()
        if isinstance(task.error, ConfirmationError):
            self._ask(str(task.error))
        elif task.error is not None:
            self._label.text = str(task.error)
            self._label.visible = True
            if not isinstance(task.error, Cancelled):
                slicer.util.errorDisplay(
                    _("The model could not be installed.\n\n{error}").format(error=task.error),
                    windowTitle=_("MedDL"), detailedText=getattr(task.error, "details", "") or repr(task.error))

    def _ask(self, text: str) -> None:
        """Let the user decide about a program; the text ends with its SHA-256."""
        if slicer.util.confirmYesNoDisplay(_("{text}\n\nDo you trust this file?").format(text=text), _("MedDL")):
            self.importFrom(self._path, text.split()[-1])

    def _show(self, running: bool) -> None:
        self._bar.value = 0
        self._bar.visible = running
        self._label.visible = running
