"""The section *De-identify files* of the super-resolution panel: a folder in, a folder without the patients out."""

from pathlib import Path

import ctk
import qt
import slicer
from slicer.i18n import tr as _

from meddl_slicer.sections.deidentification import verb
from meddl_slicer.sections.section import Section


class DeidentifySection(Section):
    """Removes the patient from the headers of the files of a folder.

    Args:
        panel, after: as of `Section`.
    """

    def __init__(self, panel, after):
        super().__init__(panel, after, "MedDL.Deidentify", _("De-identify files"))
        self._about = qt.QLabel(_(
            "Works on files of a folder, not on what is loaded: NIfTI, NRRD, MetaImage and DICOM. Only headers and "
            "names are changed: a face, or text within a picture, stays."))
        self._about.wordWrap = True
        self.form.addRow(self._about)
        self._folders = {
            "source": self._folder("source", _("Files in:"), _("The folder with the files; it stays as it is")),
            "target": self._folder("target", _("Write to:"), _("A new or empty folder for the files without patients"))}
        self.namesCheckBox = qt.QCheckBox(_("Keep the names of files"))
        self.namesCheckBox.objectName = "deidentifyNamesCheckBox"
        self.namesCheckBox.toolTip = _("Keep the names of files and folders, which may name patients; otherwise files "
                                       "are numbered")
        self.namesCheckBox.connect("clicked(bool)", lambda checked: self._onChanged("names", "1" if checked else ""))
        self.form.addRow(self.namesCheckBox)
        self.addRun(_("De-identify"), _("Write the files without the patient"))
        self.addReading()
        self._table = None

    def showChoices(self) -> None:
        for key, edit in self._folders.items():
            edit.currentPath = self.readText(key)
        self.namesCheckBox.checked = self.readText("names") == "1"

    def whyNotReady(self) -> str | None:
        source, target = (Path(self.readText(key)) for key in ("source", "target"))
        if not self.readText("source") or not source.is_dir():
            return _("Choose the folder of the files.")
        if not self.readText("target"):
            return _("Choose a new or empty folder to write to.")
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            return _("The folder to write to is not empty. Choose another one.")
        return None

    def startRun(self, onProgress, onDone):
        again = self._table is not None and slicer.mrmlScene.IsNodePresent(self._table)
        self.read()
        return verb.deidentify_files(self.readText("source"), self.readText("target"),
                                     keepNames=self.readText("names") == "1",
                                     tableNode=self._table if again else None, wait=False, onProgress=onProgress,
                                     onDone=onDone)

    def showResult(self, node) -> None:
        self._table = node
        self.read(node, _("The table '{name}' lists them with their old names.").format(name=node.GetName()))

    def clear(self) -> None:
        self._table = None
        self.read()

    def _folder(self, key: str, label: str, tip: str):
        edit = ctk.ctkPathLineEdit()
        edit.objectName, edit.toolTip = f"deidentify{key.capitalize()}PathLineEdit", tip
        edit.filters = ctk.ctkPathLineEdit.Dirs | ctk.ctkPathLineEdit.NoDotDot
        edit.connect("currentPathChanged(QString)", lambda path: self._onChanged(key, path))
        self.form.addRow(label, edit)
        return edit

    def _onChanged(self, key: str, text: str) -> None:
        if text != self.readText(key):
            self.keep(key, text)
            self.update()
