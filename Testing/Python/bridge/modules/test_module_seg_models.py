"""The list of models in MedDLSeg: searched, installed, imported, removed."""

import zipfile

import numpy as np
from bridge_cards import install_card
from bridge_scene import (
    add_volume,
    centered,
    finished,
    process_events,
)
from ct_body import ct_body
from segmentation_panel import choose, head, segmentations, slow, thresholding, widget  # noqa: F401

import host
from meddl.models.store.store import ModelStore
from meddl_slicer.panels.models import choices, model_installer


def test_the_list_begins_with_what_is_here_and_shows_the_catalog_too(widget):
    assert widget._list.identifiers[0] == "brain"
    assert "totalsegmentator-total" in widget._list.identifiers
    assert "structures" in widget.ui.modelSummaryLabel.text or "structure" in widget.ui.modelSummaryLabel.text
    assert not widget.ui.installModelButton.isVisibleTo(widget.parent)


def test_a_search_leaves_the_models_that_know_the_structure(widget):
    widget.ui.searchLineEdit.text = "left kidney mr"
    assert "totalsegmentator-mr" in widget._list.identifiers
    assert "brain" not in widget._list.identifiers and "monai-spleen-ct" not in widget._list.identifiers
    assert widget._parameterNode.model == "brain"
    widget.ui.searchLineEdit.text = ""
    assert widget._list.identifiers[0] == "brain"


def test_the_list_is_sorted_by_fit_to_the_volume(widget):
    ct = ct_body(30)
    widget.ui.inputSelector.setCurrentNode(add_volume(ct, centered(np.diag([15.0, 15.0, 15.0]), ct.shape), "body"))
    order = widget._list.identifiers
    assert order.index("totalsegmentator-total-fastest") < order.index("totalsegmentator-total")
    assert order.index("totalsegmentator-total") < order.index("totalsegmentator-mr-fastest")


def test_a_tooltip_tells_structures_license_limits_and_what_does_not_fit(widget):
    tip = widget._list._items["totalsegmentator-tissue-types"].toolTip(1)
    for text in ("subcutaneous fat", "Free for non-commercial use", "only after registration", "cannot be installed"):
        assert text in tip
    assert "mean: 0.961" in widget._list._items["monai-spleen-ct"].toolTip(2)
    assert "takes 4 volumes" in widget._list._items["monai-brain-tumor-mr"].toolTip(1)


def test_favorites_come_first_among_those_that_are_here_and_among_the_others(widget):
    import qt

    try:
        identifier = widget._list.identifiers[-1]
        widget._list.onClicked(widget._list._items[identifier], 1)  # the name chooses, the star marks
        assert widget._list.identifiers[-1] == identifier
        widget._list.onClicked(widget._list._items[identifier], 0)
        assert widget._list.identifiers[:2] == ["brain", identifier]
        assert widget._list._items[identifier].text(0) == "★"
        widget.updateModels()
        assert widget._list.identifiers[1] == identifier
        widget._list.onClicked(widget._list._items[identifier], 0)
        assert widget._list.identifiers[-1] == identifier
        qt.QSettings().setValue("MedDL/FavoriteModels", "not JSON")
        assert choices.favorites() == set()
    finally:
        qt.QSettings().remove("MedDL/FavoriteModels")


def test_the_fit_to_the_volume_is_seen_in_the_list(widget, head):
    ct = ct_body(30)
    widget.ui.inputSelector.setCurrentNode(add_volume(ct, centered(np.diag([15.0, 15.0, 15.0]), ct.shape), "body"))
    signs = {identifier: item.text(2) for identifier, item in widget._list._items.items()}
    assert signs["totalsegmentator-mr-fastest"] == signs["monai-brain-tumor-mr"] == "○"
    assert {"●", "◐"} & set(signs.values())
    widget.ui.inputSelector.setCurrentNode(None)
    assert {item.text(2) for item in widget._list._items.values()} == {""}


def test_the_details_of_a_model_list_its_limits_until_they_are_hidden(widget):
    assert widget._details.isHidden()
    widget.onDetails("details")
    assert not widget._details.isHidden()
    assert widget._details.plainText.count("\u2022") > 1 and "Structures:" in widget._details.plainText
    choose(widget, "monai-spleen-ct")
    assert "mean: 0.961" in widget._details.plainText
    widget.onDetails("details")
    assert widget._details.isHidden()


def test_the_license_of_an_installed_model_is_shown_before_its_first_use(head, thresholding):
    install_card(thresholding, "borrowed", "CC BY-NC 4.0")
    widget = host.reload_module("MedDLSeg").widget
    host.select_module("MedDLSeg")
    widget.ui.inputSelector.setCurrentNode(head)
    choose(widget, "borrowed")
    assert "License: CC BY-NC 4.0" in widget.ui.statusLabel.text
    widget.ui.applyButton.click()
    assert "CC BY-NC 4.0" in host.dialogs[0].text
    assert not widget.run.running
    host.answer("Ok")
    widget.ui.applyButton.click()
    finished(widget)
    assert len(segmentations()) == 1
    widget.ui.applyButton.click()
    finished(widget)
    assert len(host.dialogs) == 2


def test_a_model_that_is_not_installed_is_told_before_apply(widget):
    widget._parameterNode.model = "gone"
    assert not widget.ui.applyButton.enabled
    assert "'gone' is not installed" in widget.ui.applyButton.toolTip
    choose(widget, "totalsegmentator-total")
    assert not widget.ui.applyButton.enabled
    assert "Press Install" in widget.ui.applyButton.toolTip
    assert widget.ui.installModelButton.isVisibleTo(widget.parent)


def test_a_model_of_the_catalog_is_installed_after_its_license_was_agreed_to(widget):
    choose(widget, "monai-spleen-ct")
    widget.ui.installModelButton.click()  # the question is refused
    assert "Apache-2.0" in host.dialogs[0].text and "api.ngc.nvidia.com" in host.dialogs[0].text
    assert not widget._installer.running
    host.answer("Ok")
    widget.ui.installModelButton.click()
    assert not widget.ui.applyButton.enabled
    assert "being installed" in widget.ui.applyButton.toolTip
    process_events(lambda: not widget._installer.running)
    assert set(widget._list.identifiers[:2]) == {"brain", "monai-spleen-ct"}
    assert widget._parameterNode.model == "monai-spleen-ct"
    assert widget.ui.applyButton.enabled
    assert not widget.ui.installModelButton.isVisibleTo(widget.parent)
    widget.ui.applyButton.click()  # the license is not asked for again
    finished(widget)
    assert len(host.dialogs) == 2 and len(segmentations()) == 1


def test_an_installation_shows_its_progress_and_is_cancelled_by_the_same_button(widget, monkeypatch):
    monkeypatch.setattr(model_installer, "INSTALL", "bridge_targets:slow_install")
    choose(widget, "monai-spleen-ct")
    host.answer("Ok")
    widget.ui.installModelButton.click()
    process_events(lambda: widget.ui.installProgressBar.value > 0)
    assert widget.ui.installModelButton.text == "Cancel"
    assert "Downloading" in widget.ui.installLabel.text
    widget.ui.installModelButton.click()
    assert not widget._installer.running
    assert "cancelled" in widget.ui.installLabel.text
    assert widget.ui.installModelButton.text == "Install"
    assert not widget.ui.installProgressBar.isVisibleTo(widget.parent)
    assert not host.errors()


def test_what_an_installation_met_is_told(widget, monkeypatch):
    monkeypatch.setattr(model_installer, "IMPORT", "bridge_targets:slow_install")
    widget._installer.importFrom("broken")
    process_events(lambda: not widget._installer.running)
    assert "The server answered 404." in host.errors()[0].text
    assert "404" in widget.ui.installLabel.text


def test_a_model_that_cannot_be_installed_says_why(widget):
    choose(widget, "monai-vista3d-ct")
    assert widget.ui.installModelButton.isVisibleTo(widget.parent)
    assert not widget.ui.installModelButton.enabled
    assert "prompts" in widget.ui.installModelButton.toolTip


def test_a_model_is_imported_from_a_zip_or_a_folder_and_chosen(widget, tmp_path):
    zipped, folder = widget.ui.importModelButton.menu().actions()
    host.answer(str(tmp_path / "mine.zip"))
    zipped.trigger()
    process_events(lambda: not widget._installer.running)
    assert widget._parameterNode.model == "mine"
    host.answer(str(tmp_path / "yours"))
    folder.trigger()
    process_events(lambda: not widget._installer.running)
    assert widget._parameterNode.model == "yours"
    assert {"mine", "yours"} <= {model.id for model in choices.list_installed("segmentation")}


def test_a_program_is_imported_only_after_the_person_trusts_it(widget, monkeypatch):
    monkeypatch.setattr(model_installer, "IMPORT", "bridge_targets:suspicious_install")
    for answer, model in (("No", "brain"), ("Yes", "script")):
        host.answer(answer)
        widget._installer.importFrom("/somewhere/script.zip")
        process_events(lambda: not widget._installer.running)
        assert widget._parameterNode.model == model
    assert "Confirm its SHA-256: abab" in host.dialogs[0].text and "trust" in host.dialogs[0].text
    assert not host.errors()


def test_an_installed_model_can_be_removed_but_not_one_that_ships(widget, thresholding):
    install_card(thresholding, "borrowed")
    widget.updateModels()
    choose(widget, "borrowed")
    widget.ui.removeModelButton.click()  # the question is refused
    assert ModelStore().card("borrowed")
    host.answer("Yes")
    widget.ui.removeModelButton.click()
    assert "borrowed" not in widget._list.identifiers
    assert widget._parameterNode.model == "brain"
    if ModelStore().is_shipped("brain"):
        widget.ui.removeModelButton.click()
        assert "ships with MedDL" in host.errors()[0].text
        host.take_unhandled()


def test_a_file_that_is_no_model_is_refused_and_nothing_is_left(widget, thresholding, tmp_path, monkeypatch):
    monkeypatch.setattr(model_installer, "IMPORT", "meddl_slicer.runs.remote:import_model")
    archive = tmp_path / "broken.zip"
    archive.write_bytes(b"no zip at all")
    before = [model.id for model in choices.list_installed("segmentation")]
    host.answer(str(archive))
    widget.ui.importModelButton.menu().actions()[0].trigger()
    process_events(lambda: not widget._installer.running, limit=60)
    assert "could not be installed" in host.errors()[0].text
    assert [model.id for model in choices.list_installed("segmentation")] == before


def test_an_installed_model_is_exported_or_it_is_said_why_not(widget, thresholding, tmp_path):
    install_card(thresholding, "borrowed")
    widget.updateModels()
    choose(widget, "borrowed")
    archive, nnunet, *_ = widget.ui.exportModelButton.menu().actions()
    host.answer(str(tmp_path / "borrowed.zip"))
    archive.trigger()
    told = f"exported to {tmp_path / 'borrowed.zip'}"
    process_events(lambda: any(told in dialog.text for dialog in host.dialogs), limit=60)
    assert any(told in dialog.text for dialog in host.dialogs)
    with zipfile.ZipFile(tmp_path / "borrowed.zip") as written:
        assert written.namelist() == ["card.json", "weights.safetensors"]
    host.answer(str(tmp_path))
    nnunet.trigger()
    process_events(lambda: bool(host.errors()), limit=60)
    assert "could not be exported" in host.errors()[0].text and "no safetensors file" in host.errors()[0].text
    assert widget.ui.exportModelButton.enabled and not (tmp_path / "borrowed-nnunet").exists()
    host.take_unhandled()
