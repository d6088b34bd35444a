"""Models as a panel knows them: those of this machine and of the catalog, their licenses, their folder."""

import json

import qt
import slicer
from slicer.i18n import tr as _

from meddl.models.catalog.catalog import VolumeMetadata
from meddl.models.listing import ListedModel, list_models
from meddl.models.store.store import ModelStore
from meddl.models.volume_metadata import modality_of
from meddl_slicer.mrml.nodes import why_not_usable

DEFAULT_SEGMENTATION = "brain"
_FAVORITES = "MedDL/FavoriteModels"  # in the application's settings


def list_for_task(task: str) -> list[ListedModel]:
    """The models of this machine and of the catalog for a task ("segmentation", ...). Reads cards, no weights."""
    return list_models(ModelStore(), task)


def list_installed(task: str) -> list[ListedModel]:
    """Those of them that are on this machine."""
    return [model for model in list_for_task(task) if model.usable]


def metadata_of_node(volumeNode) -> VolumeMetadata | None:
    """What the catalog needs to know of a volume node; None where it holds no image."""
    if why_not_usable(volumeNode) is not None:
        return None
    image = volumeNode.GetImageData()
    return VolumeMetadata(tuple(volumeNode.GetSpacing()), tuple(image.GetDimensions()),
                       _dicom_modality(volumeNode) or modality_of(slicer.util.arrayFromVolume(volumeNode)))


def confirm_install(model: ListedModel) -> bool:
    """Whether the license of a model of the catalog was agreed to; asks the user before it is downloaded."""
    terms = model.entry.license
    size = f"{model.entry.bytes / 1e6:.0f} MB" if model.entry.bytes else _("size not stated")
    text = _("Install the model '{name}' ({size})?\n\nIt comes with a license of its own.\nWeights: {weights}\n"
             "Code: {code}\n{url}\n\nThe weights are downloaded from\n{source}").format(
                 name=model.entry.name, size=size, weights=terms.weights or _("not stated by its authors"),
                 code=terms.code, url=terms.url or "", source="\n".join(file.url for file in model.entry.files))
    return slicer.util.confirmOkCancelDisplay(text, _("MedDL"))


def confirm_license(identifier: str) -> bool:
    """Whether the license of an installed model was agreed to; asks the user before its first use."""
    store = ModelStore()
    if store.license_accepted(identifier):
        return True
    card = store.card(identifier)
    text = _("The model '{name}' comes with a license of its own.\n\nWeights: {weights}\nCode: {code}\n{url}\n\n"
             "Use it under this license?").format(name=card.name, weights=card.license.weights,
                                                  code=card.license.code, url=card.license.url or "")
    if not slicer.util.confirmOkCancelDisplay(text, _("MedDL")):
        return False
    store.accept_license(identifier)
    return True


def accept_license(identifier: str) -> None:
    """Remember that the license of an installed model was agreed to before it was downloaded."""
    ModelStore().accept_license(identifier)


def choose_file() -> str:
    """Ask for a file with a model; empty where the user gave up."""
    return str(qt.QFileDialog.getOpenFileName(
        slicer.util.mainWindow(), _("Import a model"), "", _("Models (*.zip *.pt *.pth *.ts)")) or "")


def choose_folder() -> str:
    """Ask for a folder with a model; empty where the user gave up."""
    return str(qt.QFileDialog.getExistingDirectory(slicer.util.mainWindow(), _("Import a model from a folder")) or "")


def remove(identifier: str) -> bool:
    """Delete an installed model, after asking; False where the user said no.

    Raises:
        ModelError: the model ships with MedDL.
    """
    store = ModelStore()
    if not store.is_shipped(identifier) and not slicer.util.confirmYesNoDisplay(
            _("Delete the model '{name}' from this computer?").format(name=store.card(identifier).name), _("MedDL")):
        return False
    store.remove(identifier)
    return True


def open_folder() -> None:
    """Show the folder of installed models in the file manager; it is made where it is not there yet."""
    folder = ModelStore().cache
    folder.mkdir(parents=True, exist_ok=True)
    qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(folder)))


def folder_text() -> str:
    """Where installed models lie and how much room they take."""
    store = ModelStore()
    return _("Installed models: {megabytes:.0f} MB in {folder}").format(
        megabytes=store.cache_size_bytes() / 1e6, folder=store.cache)


def favorites() -> set[str]:
    """Identifiers of the models that the user has marked, kept in the application's settings."""
    try:
        kept = json.loads(qt.QSettings().value(_FAVORITES, "[]") or "[]")
    except (TypeError, ValueError):
        return set()
    return {one for one in kept if isinstance(one, str)} if isinstance(kept, list) else set()


def toggle_favorite(identifier: str) -> None:
    """Mark a model, or take the mark away."""
    qt.QSettings().setValue(_FAVORITES, json.dumps(sorted(favorites() ^ {identifier})))


def _dicom_modality(volumeNode) -> str | None:
    """The modality that came with a DICOM series, None for other files."""
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    item = hierarchy.GetItemByDataNode(volumeNode) if hierarchy is not None else 0
    attribute = slicer.vtkMRMLSubjectHierarchyConstants.GetDICOMSeriesModalityAttributeName()
    found = hierarchy.GetItemAttribute(item, attribute) if item else ""
    return {"PT": "PET"}.get(found, found) or None
