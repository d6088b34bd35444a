"""The catalog of public models: valid, searched by structure and modality, sorted by fit to a volume."""

import json

import pytest

from meddl.core.errors import ModelError, ModelNotFoundError
from meddl.core.paths import resources_folder
from meddl.models.catalog.catalog import (
    VolumeMetadata,
    find_entry,
    fit,
    license_badge,
    load_catalog,
    parse_catalog,
    search,
    sort_by_fit,
)
from meddl.models.catalog.structure_names import structures_named

ABDOMEN_CT = VolumeMetadata((0.8, 0.8, 2.0), (512, 512, 200), "CT")
HEAD_MR = VolumeMetadata((1.0, 1.0, 1.0), (192, 256, 256), "MR")


@pytest.fixture
def content():
    return json.loads((resources_folder() / "Catalog.json").read_text(encoding="utf-8"))


def names(entries):
    return [entry.id for entry in entries]


def test_the_catalog_that_ships_is_valid_and_large():
    entries = load_catalog()
    assert len(entries) >= 20
    assert {entry.format for entry in entries} == {"nnunet", "monai-bundle", "auto3dseg"}
    assert all(entry.source.startswith("https://") and entry.structures for entry in entries)


def test_what_can_be_installed_has_an_address_and_what_cannot_a_reason():
    for entry in load_catalog():
        assert entry.obstacle or entry.files, entry.id
        assert not entry.license.registration or entry.obstacle


def test_the_parts_of_a_model_give_each_structure_once():
    for identifier in ("totalsegmentator-total", "totalsegmentator-mr"):
        entry = find_entry(identifier)
        made = sorted(whole for file in entry.files for _, whole in file.values)
        assert made == sorted(structure.value for structure in entry.structures)
        assert len(entry.files) == (5 if identifier.endswith("total") else 2)


def test_label_values_are_unique_in_each_entry():
    for entry in load_catalog():
        values = [structure.value for structure in entry.structures if structure.value is not None]
        assert len(values) == len(set(values)), entry.id


def test_a_structure_is_found_in_whichever_way_its_maker_writes_it():
    found = search(load_catalog(), structure="left kidney")
    assert {"totalsegmentator-total", "monai-abdomen-swin-ct", "auto3dseg-abdominal-organs"} <= set(names(found))
    assert "monai-spleen-ct" not in names(found)
    assert [s.name for s in structures_named(find_entry("totalsegmentator-total").structures, "Kidneys left")] == [
        "kidney left", "kidney cyst left"]


def test_models_that_find_the_structure_come_before_those_that_only_speak_of_it():
    found = names(search(load_catalog(), "brain"))
    assert found.index("hd-bet") < found.index("auto3dseg-brats-gli")
    assert search(load_catalog(), "liver quick") != []
    assert search(load_catalog(), "no such thing") == []


def test_the_modality_is_respected():
    assert all("MR" in entry.modality for entry in search(load_catalog(), "liver", modality="mr"))
    assert "totalsegmentator-mr" in names(search(load_catalog(), modality="MR"))


def test_for_an_abdominal_ct_models_of_ct_and_of_the_trunk_come_first():
    order = sort_by_fit(load_catalog(), ABDOMEN_CT)
    assert all("CT" in entry.modality for entry in order[:10])
    assert order[0].region in ("whole body", "abdomen", "trunk")
    assert names(order).index("totalsegmentator-total") < names(order).index("totalsegmentator-total-fastest")


def test_for_a_head_in_mr_models_of_the_head_in_mr_come_first_and_the_others_say_why_not():
    order = names(sort_by_fit(load_catalog(), HEAD_MR))
    assert order.index("hd-bet") < order.index("monai-spleen-ct")
    spleen = fit(find_entry("monai-spleen-ct"), HEAD_MR)
    assert any("seems to be MR" in reason for reason in spleen.reasons)
    tumor = fit(find_entry("monai-brain-tumor-mr"), HEAD_MR)
    assert any("takes 4 volumes" in reason for reason in tumor.reasons)


def test_thick_slices_are_told():
    thick = VolumeMetadata((1.0, 1.0, 8.0), (256, 256, 40), "CT")
    assert any("too thick" in reason for reason in fit(find_entry("monai-spleen-ct"), thick).reasons)


def test_a_badge_says_what_a_license_allows():
    assert license_badge(find_entry("totalsegmentator-total").license) == "Apache-2.0"
    assert license_badge(find_entry("monai-vista3d-ct").license) == "non-commercial"
    assert license_badge(find_entry("totalsegmentator-tissue-types").license) == "registration"
    assert license_badge(find_entry("hd-bet").license) == "see license"


def test_an_unknown_identifier_is_named():
    with pytest.raises(ModelNotFoundError, match="'nothing'"):
        find_entry("nothing")


@pytest.mark.parametrize("change", [
    lambda model: model.pop("license"), lambda model: model.update(format="keras"),
    lambda model: model["files"][0].update(url="ftp://example.org/a.zip"), lambda model: model.update(files=[]),
    lambda model: model["files"][0].update(checksum={"algorithm": "crc32", "value": "0" * 32}),
    lambda model: model.update(more=1)])
def test_a_broken_entry_is_refused(content, change):
    change(content["models"][0])
    with pytest.raises(ModelError, match="catalog is not valid"):
        parse_catalog(content)


def test_two_entries_of_one_name_are_refused(content):
    content["models"] = content["models"][:1] * 2
    with pytest.raises(ModelError, match="occurs twice"):
        parse_catalog(content)


def test_a_file_that_is_no_catalog_is_named(tmp_path):
    with pytest.raises(ModelError, match="cannot be read"):
        load_catalog(tmp_path / "none.json")
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(ModelError, match="is not JSON"):
        load_catalog(tmp_path / "bad.json")
