"""Which volume is registered to which: all to one, a table, each follow-up to its subject's baseline."""

import pytest
from dicom_folders import put_dicom
from small_models import put

from meddl.core.errors import InputError
from meddl.jobs.cases import case_of, find_cases
from meddl.jobs.pairs import follow_ups, pairs_of_subjects, pairs_of_table, pairs_to_one


def named(names):
    """The pairs of `follow_ups` by name, and what is alone."""
    pairs, alone = follow_ups(names)
    return [(names[first], names[later]) for first, later in pairs], {names[number]: why for number, why in alone}


def test_a_follow_up_of_bids_goes_with_the_baseline_of_its_kind():
    names = [f"sub-{n}/ses-{s}/anat/sub-{n}_ses-{s}_{kind}" for n in ("01", "02") for s in (1, 2, 10)
             for kind in ("T1w", "FLAIR") if (n, s, kind) != ("02", 1, "FLAIR")]
    pairs, alone = named(names)
    assert not alone and len(pairs) == 7
    for first, later in pairs:
        assert first.split("/")[0] == later.split("/")[0] and first.split("_")[-1] == later.split("_")[-1]
        expected = 2 if "sub-02" in first and "FLAIR" in first else 1
        assert f"ses-{expected}/" in first and first != later


def test_sessions_are_folders_dates_or_files_and_follow_one_another_by_number():
    pairs, alone = named(["a/visit 10/head", "a/visit 2/head", "a/visit 1/head", "b/2019", "b/2021", "b/2020"])
    assert pairs == [("a/visit 1/head", "a/visit 10/head"), ("a/visit 1/head", "a/visit 2/head"),
                     ("b/2019", "b/2021"), ("b/2019", "b/2020")]
    assert not alone
    pairs, _ = named(["c/2019-03-01/4 MPRAGE", "c/2020-01-15/7 MPRAGE repeated"])  # one volume a session: any name
    assert pairs == [("c/2019-03-01/4 MPRAGE", "c/2020-01-15/7 MPRAGE repeated")]


def test_what_has_no_partner_is_left_out_and_told():
    pairs, alone = named(["loose", "a/anat/T1w", "a/func/bold", "b/ses-1/T1w", "b/ses-1/T2w", "b/ses-2/T1w",
                          "c/2019_T1/T1", "c/2019_T1/2019_T1T1"])
    assert pairs == [("b/ses-1/T1w", "b/ses-2/T1w")]
    assert "no folder of a subject" in alone["loose"]
    for name in ("a/anat/T1w", "a/func/bold", "b/ses-1/T2w"):
        assert "no other session of" in alone[name]
    assert "the same name" in alone["c/2019_T1/2019_T1T1"]


def test_subjects_and_sessions_of_a_folder_of_files_and_dicom_series(tmp_path):
    put(tmp_path / "sub-1" / "ses-1" / "anat" / "sub-1_ses-1_T1w.nii.gz")
    put(tmp_path / "sub-1" / "ses-2" / "anat" / "sub-1_ses-2_T1w.nii.gz")
    put_dicom(tmp_path / "sub-2" / "2019" / "head", "1.2.1", 4)
    put_dicom(tmp_path / "sub-2" / "2021" / "head again", "1.2.2", 4)
    pairs, unused = pairs_of_subjects(find_cases([tmp_path])[0])
    assert [pair.name for pair in pairs] == ["sub-1/ses-2/anat/sub-1_ses-2_T1w", "sub-2/2021/head again"]
    assert (pairs[1].fixed.series, pairs[1].moving.series) == ("1.2.1", "1.2.2") and not unused
    assert not any(pair.problem for pair in pairs) and len(pairs[0].files) == 2


def test_all_volumes_of_a_folder_go_to_one_of_them_but_itself(tmp_path):
    for name in ("a", "b", "c"):
        put(tmp_path / f"{name}.nii.gz")
    pairs, unused = pairs_to_one(case_of(tmp_path / "b.nii.gz"), find_cases([tmp_path])[0])
    assert [pair.name for pair in pairs] == ["a", "c"]
    assert unused == [(str(tmp_path / "b.nii.gz"), "the fixed volume")]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_table_names_its_pairs(tmp_path, separator):
    put(tmp_path / "data" / "a.nii.gz")
    put(tmp_path / "data" / "b.nii.gz")
    lines = ["Fixed,Moving,name", "data/a.nii.gz,data/b.nii.gz,", f"{tmp_path}/data/b.nii.gz,data/b.nii.gz,",
             "data/a.nii.gz,data/b.nii.gz,first", "data/gone.nii.gz,data/a.nii.gz,", "data/a.nii.gz,,late", ""]
    table = tmp_path / "pairs.csv"
    table.write_text("\ufeff" + "\n".join(lines).replace(",", separator), encoding="utf-8")
    pairs = pairs_of_table(table)
    assert [pair.name for pair in pairs] == ["data/b", "data/b-2", "first", "data/a", "late"]
    assert [bool(pair.problem) for pair in pairs] == [False, False, False, True, True]
    assert "gone.nii.gz' does not exist" in pairs[3].problem and "missing in this line" in pairs[4].problem
    assert pairs[0].files == (str(tmp_path / "data" / "a.nii.gz"), str(tmp_path / "data" / "b.nii.gz"))


def test_what_is_no_table_of_pairs_is_refused(tmp_path):
    table = tmp_path / "pairs.csv"
    for text in ("", "one,two\na,b\n", "fixed,moving\n"):
        table.write_text(text)
        with pytest.raises(InputError, match="columns fixed and moving"):
            pairs_of_table(table)
    with pytest.raises(InputError, match="cannot be read"):
        pairs_of_table(tmp_path / "none.csv")
    table.write_text("fixed,moving,name\na.nii.gz,b.nii.gz,../out\n")
    with pytest.raises(InputError, match="leads out of the folder"):
        pairs_of_table(table)


def test_a_folder_stands_for_its_only_volume(tmp_path):
    put_dicom(tmp_path / "one", "1.2.1", 4)
    put_dicom(tmp_path / "two", "1.2.2", 4)
    put_dicom(tmp_path / "two", "1.2.3", 4)
    assert case_of(tmp_path / "one").series == "1.2.1"
    assert "holds 2 volumes" in case_of(tmp_path / "two").problem
    assert not case_of(tmp_path / "two", "1.2.3").problem
