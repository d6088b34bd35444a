"""The installed models, as a panel lists them."""

from typing import NamedTuple

import qt
import slicer
from slicer.i18n import tr as _

from meddl.models.store import ModelStore
from meddl_slicer import tasks

DEFAULT_SEGMENTATION = "brain"
INSTALL = "meddl_slicer.remote:install_model"


class ModelEntry(NamedTuple):
    """One line of a panel's list: identifier, title to read, license of the weights, one sentence about it."""

    identifier: str
    title: str
    license: str
    description: str


def installed(task: str) -> list[ModelEntry]:
    """The installed models for a task ("segmentation", ...), the default one first. Reads cards, no weights."""
    cards = [card for card in ModelStore().list() if card.task == task]
    cards.sort(key=lambda card: (card.id != DEFAULT_SEGMENTATION, card.id))
    return [ModelEntry(card.id, card.name, card.license.weights, card.description) for card in cards]


def license_agreed(identifier: str) -> bool:
    """Whether the license of an installed model was agreed to; asks the person before its first use."""
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


def install_from_file() -> str | None:
    """Ask for a model's zip archive and install it; the identifier of the model, None where the person gave up.

    Raises:
        ModelError, IntegrityError: no valid model; nothing is left behind.
    """
    path = qt.QFileDialog.getOpenFileName(
        slicer.util.mainWindow(), _("Install a model"), "", _("Models (*.zip)"))
    return tasks.run(INSTALL, str(path)) if path else None


def remove(identifier: str) -> bool:
    """Delete an installed model, after asking; False where the person said no.

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
