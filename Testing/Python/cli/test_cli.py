"""The `meddl` command, in this process and as a program of its own."""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field, fields

import numpy as np
import pytest
import SimpleITK as sitk
from model_files import model_archive, model_folder
from places import REPOSITORY
from shell import AFFINE, blobs, run

import meddl
from meddl.cli import main, make_parser
from meddl.cli.options import add_config_options, config_from
from meddl.core.config import RegisterConfig, SegmentConfig, SuperResolveConfig
from meddl.models.store.store import ModelStore
from meddl.spatial.volume import Volume


@pytest.fixture
def files(tmp_path):
    """A folder with a fixed and a moving volume, 9 mm apart, and one with thick slices."""
    meddl.save(blobs(), tmp_path / "fixed.nii.gz")
    meddl.save(blobs((9, 0, -6)), tmp_path / "moving.nrrd")
    meddl.save(Volume.scalar(blobs().data[0, :, :, ::4], AFFINE @ np.diag([1, 1, 4, 1])), tmp_path / "thick.nii.gz")
    return tmp_path


@pytest.fixture
def models(tmp_path, monkeypatch):
    """A store without installed models; returns a model archive to install."""
    monkeypatch.setenv("MEDDL_CACHE", str(tmp_path / "cache"))
    return model_archive(tmp_path / "tiny.zip", model_folder(tmp_path / "made" / "tiny"))


def program(*words, **more) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "MedDLLib")}
    return subprocess.run([sys.executable, "-m", "meddl", *map(str, words)], capture_output=True, text=True,
                          env=environment, check=False, timeout=120, **more)




# --- the parser ---


def test_help_and_version_need_no_torch():
    code = ("import sys; from meddl.cli import main\n"
            "try: main(sys.argv[1:])\n"
            "finally: sys.exit(9 if {'torch', 'monai', 'SimpleITK', 'numpy'} & set(sys.modules) else 0)")
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "MedDLLib")}
    for words in (["--help"], ["--version"], ["register", "--help"], ["segment", "--help"],
                  ["models", "install", "--help"]):
        done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, env=environment,
                              check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        assert "meddl" in done.stdout


def test_the_program_says_its_version():
    assert program("--version").stdout.strip() == f"meddl {meddl.__version__}"


def test_without_a_command_the_help_is_shown(capsys):
    assert main([]) == 2
    assert "segment the structures of a volume" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["fly"], ["segment"], ["models"],
                                   ["register", "a.nii", "b.nii", "--transform-type", "odd"],
                                   ["superres", "a.nii", "-o", "b.nii", "--target-spacing-mm", "thin"],
                                   ["register", "a.nii", "b.nii", "--levels-mm", "8;4"]])
def test_a_wrong_command_line_ends_with_2_and_says_how_it_should_be(words, capsys):
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("meddl: ") and "--help` lists all" in said and len(said.splitlines()) == 1


@pytest.mark.parametrize(("words", "said"), [
    (["segment", "a.nii", "-o", "b.nii", "--modle", "liver"], "there is no option --modle. Did you mean --model"),
    (["register", "a.nii", "b.nii", "--metrc=mi"], "Did you mean --metric"),
    (["register", "a.nii", "b.nii", "--metric", "ncc"], "auto, nmi, mi, lncc, mind; got 'ncc'. Similar: lncc"),
    (["regster", "a.nii", "b.nii"], "Similar: register"),
    (["models", "instal", "x"], "Similar: install"),
    (["prepare", "a.nii", "-o", "b.nii", "n4"], "unrecognized arguments: n4. `meddl prepare --help` lists"),
    (["superres", "a.nii", "--reprot", "r.json"], "Did you mean --report"),
    (["register", "a", "b", "--bins", "two"], "--bins is a whole number; got 'two'."),
    (["register", "a", "b", "--levels-mm", "8;4"], "a list of numbers with commas between them; got '8;4'.")])
def test_a_wrong_word_is_answered_with_the_closest_one(words, said, capsys):
    with pytest.raises(SystemExit):
        main(words)
    assert said in capsys.readouterr().err


def test_an_option_may_be_shortened_and_words_behind_two_dashes_are_files(capsys):
    arguments = make_parser(["superres"]).parse_args(["superres", "-o", "b.nii", "--meth", "cubic", "--", "--odd.nii"])
    assert (arguments.method, list(map(str, arguments.input))) == ("cubic", ["--odd.nii"])


@pytest.mark.parametrize(("command", "config_class"), [
    (["segment", "a", "-o", "b"], SegmentConfig), (["register", "a", "b"], RegisterConfig),
    (["superres", "a", "-o", "b"], SuperResolveConfig)])
def test_without_options_a_config_has_its_own_defaults(command, config_class):
    assert config_from(make_parser(command).parse_args(command), config_class) == config_class()


def test_every_field_of_a_config_is_an_option_with_its_help(capsys):
    for command, config_class in (("segment", SegmentConfig), ("register", RegisterConfig),
                                  ("superres", SuperResolveConfig)):
        with pytest.raises(SystemExit):
            main([command, "--help"])
        shown = " ".join(capsys.readouterr().out.split()).replace("- ", "-")
        for one in fields(config_class):
            if (command, one.name) != ("segment", "confidence"):  # there it is a file to write
                assert one.metadata["help"].split()[0] in shown
                assert "--" + one.name.replace("_", "-") in shown


@dataclass(frozen=True)
class _Odd:
    """A config of every kind of field."""

    on: bool = field(default=True, metadata={"help": "100% on"})
    count: int = field(default=3, metadata={"help": "how many"})
    length_mm: float | None = field(default=None, metadata={"help": "how long"})
    steps: tuple[int, ...] = field(default=(2, 1), metadata={"help": "steps"})
    kind: str = field(default="a", metadata={"help": "kind", "choices": ("a", "b"), "old_flags": ("--sort",)})
    wide: int = field(default=1, metadata={"help": "how wide", "old_names": ("broad",)})


def test_options_follow_the_types_of_the_fields(capsys):
    parser = argparse.ArgumentParser()
    add_config_options(parser, _Odd)
    given = parser.parse_args(["--no-on", "--count", "5", "--length-mm", "1.5", "--steps", "4,3,2", "--kind", "b",
                               "--wide", "2"])
    assert config_from(given, _Odd) == _Odd(False, 5, 1.5, (4, 3, 2), "b", 2)
    assert config_from(parser.parse_args(["--sort", "b", "--broad", "2"]), _Odd) == _Odd(kind="b", wide=2)
    assert config_from(parser.parse_args([]), _Odd, count=7) == _Odd(count=7)
    parser.print_help()
    shown = capsys.readouterr().out
    assert "(default: 2,1)" in shown and "--wide" in shown and "--broad" not in shown and "--sort" not in shown


# --- register ---


def test_register_writes_volume_transform_and_report(files, capsys):
    assert run("register", files / "fixed.nii.gz", files / "moving.nrrd", "-o", files / "out.nii.gz", "--transform",
               files / "map.h5", "--report", files / "report.json", "--levels-mm", "8,4", "--device", "cpu",
               "--report-inputs") == 0
    out = meddl.load(files / "out.nii.gz")
    fixed = meddl.load(files / "fixed.nii.gz")
    assert out.grid.same_as(fixed.grid)
    assert np.corrcoef(out.data.ravel(), fixed.data.ravel())[0, 1] > 0.97
    theirs = sitk.ReadTransform(str(files / "map.h5")).TransformPoint((0.0, 0.0, 0.0))
    np.testing.assert_allclose(theirs, (-9, 0, -6), atol=0.7)  # LPS
    report = json.loads((files / "report.json").read_text())
    assert report["levels_mm"] == [8, 4]
    assert np.array(report["affine"]).shape == (4, 4)
    assert report["names"]["outputs"] == [str(files / "out.nii.gz"), str(files / "map.h5")]
    said = capsys.readouterr()
    assert "out.nii.gz" in said.out
    assert said.err == ""


def test_register_without_an_output_says_so_before_it_works(files, capsys):
    assert run("register", files / "fixed.nii.gz", files / "moving.nrrd") == 2
    assert "Nothing would be written" in capsys.readouterr().err


def test_warnings_go_to_standard_error(files, capsys):
    volume = blobs()
    data = volume.data.astype(np.float32)
    data[0, :2] = np.nan
    meddl.save(Volume(data, volume.affine), files / "holed.nrrd")  # ITK's NIfTI reader takes NaN for 0
    assert run("register", files / "holed.nrrd", files / "moving.nrrd", "--transform", files / "map.tfm",
               "--levels-mm", "8", "--device", "cpu") == 0
    assert "meddl: warning: The fixed volume holds" in capsys.readouterr().err


# --- superres ---


def test_superres_writes_the_sharper_volume(files, capsys):
    assert run("superres", files / "thick.nii.gz", "-o", files / "thin.mha", "--device", "cpu") == 0
    thick, thin = meddl.load(files / "thick.nii.gz"), meddl.load(files / "thin.mha")
    np.testing.assert_allclose(thin.spacing_mm, (3, 3, 3))
    np.testing.assert_allclose(thin.grid.center_mm, thick.grid.center_mm, atol=1e-4)
    assert thin.data.dtype == np.int16
    assert "voxels of 3 x 3 x 3 mm" in capsys.readouterr().out


def test_superres_takes_its_options(files):
    assert run("superres", files / "thick.nii.gz", "-o", files / "thin.nrrd", "--spacing", "6", "--axis", "2",
               "--no-keep-type", "--device", "cpu", "--report", files / "r.json") == 0
    thin = meddl.load(files / "thin.nrrd")
    assert thin.spacing_mm[2] == pytest.approx(6)
    assert thin.data.dtype == np.float32
    assert json.loads((files / "r.json").read_text())["factor"] == pytest.approx(2)


def test_superres_runs_a_method_and_compares_with_the_truth(files, capsys):
    words = ["superres", files / "thick.nii.gz", "-o", files / "thin.nrrd", "--device", "cpu"]
    assert run(*words, "--method", "cubic") == 0
    assert run(*words[:3], files / "sharp.nrrd", *words[4:], "--method", "back-projection", "--profile", "rect",
               "--thickness-mm", "5", "--noise-sigma", "0", "--reference", files / "thin.nrrd",
               "--report", files / "r.json") == 0
    assert "dB to the reference" in capsys.readouterr().out
    report = json.loads((files / "r.json").read_text())
    assert (report["method"], report["profile"], report["thickness_mm"]) == ("back-projection", "rect", 5)
    assert report["psnr_db"] > 10


def test_a_component_of_a_4d_file_is_chosen(files, capsys):
    frames = [to_image(blobs((k, 0, 0))) for k in range(3)]
    sitk.WriteImage(sitk.JoinSeries(frames), str(files / "frames.nii.gz"))
    words = ["superres", files / "frames.nii.gz", "-o", files / "one.nii.gz", "--spacing", "1.5", "--device", "cpu"]
    assert run(*words) == 2
    assert "component" in capsys.readouterr().err
    assert run(*words, "--component", "1") == 0


def to_image(volume: Volume) -> sitk.Image:
    from meddl.io import to_sitk

    return to_sitk(volume)


# --- errors ---


@pytest.mark.parametrize(("change", "words"), [
    ({"-o": "out.jpg"}, "cannot be written"), ({"-o": "nowhere/out.nii.gz"}, "does not exist"),
    ({"input": "absent.nii.gz"}, "does not exist"), ({"input": "empty.nii.gz"}, "empty"),
    ({"input": "text.nii.gz"}, "text.nii.gz"), ({"--device": "abacus"}, "device"),
    ({"--spacing": "50"}, "smaller"), ({"--axis": "7"}, "axis"), ({"--report": "r.txt"}, "cannot be written")])
def test_an_error_is_one_line_and_status_2_and_nothing_is_written(files, capsys, change, words):
    (files / "empty.nii.gz").touch()
    (files / "text.nii.gz").write_text("this is no image")
    before = sorted(files.iterdir())
    given = {"input": "thick.nii.gz", "-o": "out.nii.gz", "--device": "cpu", **change}
    line = ["superres", files / given.pop("input")]
    for option, value in given.items():
        line += [option, files / value if option in ("-o", "--report") else value]
    assert run(*line) == 2
    said = capsys.readouterr()
    assert said.err.startswith("meddl: ")
    assert len(said.err.splitlines()) == 1
    assert words in said.err
    assert said.out == ""
    assert sorted(files.iterdir()) == before


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo terminal")
def test_ctrl_c_shows_progress_until_then_and_leaves_nothing(files):
    import pty

    before = sorted(files.iterdir())
    terminal, worker_end = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "MedDLLib")}
    process = subprocess.Popen(
        [sys.executable, "-m", "meddl", "register", str(files / "fixed.nii.gz"), str(files / "moving.nrrd"), "-o",
         str(files / "out.nii.gz"), "--samples", "3000000", "--levels-mm", "0.5", "--search-rotations", "3000",
         "--device", "cpu"], stderr=worker_end, stdout=subprocess.PIPE, env=environment, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))  # a background job would ignore it
    os.close(worker_end)
    try:
        shown, deadline = b"", time.monotonic() + 90
        while b"Initializing" not in shown and time.monotonic() < deadline:
            shown += os.read(terminal, 4096)
        assert b"%" in shown
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 130
        shown = b""
        while b"stopped" not in shown:
            shown += os.read(terminal, 4096)
    finally:
        process.kill()
        process.communicate()
        os.close(terminal)
    assert sorted(files.iterdir()) == before


# --- models ---


def test_a_model_is_installed_listed_verified_and_removed(models, capsys):
    assert run("models", "install", models) == 0
    assert "License of the weights: CC-BY-4.0" in capsys.readouterr().out
    assert run("models", "list") == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("tiny"))
    assert line.split()[:3] == ["tiny", "1.0.0", "segmentation"]
    assert line.endswith("installed")
    assert run("models", "verify", "tiny") == 0
    weights = ModelStore().weights_path("tiny")
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    assert run("models", "verify") == 2
    assert "cannot be used" in capsys.readouterr().err
    assert run("models", "remove", "tiny") == 0
    assert run("models", "remove", "tiny") == 2
    assert "No model is called 'tiny'" in capsys.readouterr().err


def test_a_model_that_is_not_what_it_should_be_is_refused(models, capsys):
    assert run("models", "install", models, "--sha256", "0" * 64) == 2
    assert run("models", "install", models.parent / "absent.zip") == 2
    assert "does not exist" in capsys.readouterr().err
    assert "tiny" not in [card.id for card in ModelStore().list()]


def test_an_installed_model_s_license_is_shown_before_first_use(models, files, capsys):
    assert run("models", "install", models) == 0
    words = ["segment", files / "fixed.nii.gz", "-o", files / "out.nii.gz", "--model", "tiny", "--device", "cpu"]
    assert run(*words) == 2
    assert "CC-BY-4.0" in capsys.readouterr().err
    assert run("models", "install", models, "--accept-license") == 0
    assert ModelStore().license_accepted("tiny")


# --- segment ---


@pytest.fixture
def brain():
    if "brain" not in [card.id for card in ModelStore().list()]:
        pytest.skip("the model brain is not in Resources/MedDL/Models")
    return ModelStore().card("brain")


def test_segment_writes_labels_on_the_input_s_grid(files, brain, capsys):
    assert run("segment", files / "fixed.nii.gz", "-o", files / "out.nii.gz", "--confidence", files / "sure.nii.gz",
               "--report", files / "r.json", "--device", "cpu", "--no-largest-component") == 0
    labels, volume = meddl.load(files / "out.nii.gz"), meddl.load(files / "fixed.nii.gz")
    assert labels.grid.same_as(volume.grid)
    assert set(np.unique(labels.data)) <= {0, *(label.value for label in brain.labels)}
    sure = meddl.load(files / "sure.nii.gz")
    assert sure.grid.same_as(volume.grid)
    assert 0 <= sure.data.min() <= sure.data.max() <= 1
    assert json.loads((files / "r.json").read_text())["model"].startswith("brain")
    assert "structures" in capsys.readouterr().out


def test_segment_writes_a_slicer_segmentation_with_names(files, brain):
    assert run("segment", files / "fixed.nii.gz", "-o", files / "out.seg.nrrd", "--device", "cpu") == 0
    names = {segment.name for segment in meddl.load_segmentation(files / "out.seg.nrrd").segments}
    assert names <= {label.name for label in brain.labels}


def test_an_unknown_model_is_an_error(files, capsys):
    assert run("segment", files / "fixed.nii.gz", "-o", files / "out.nii.gz", "--model", "liver") == 2
    assert "No model is called 'liver'" in capsys.readouterr().err
    assert not (files / "out.nii.gz").exists()


@pytest.mark.parametrize("words", [(command, task) for command, tasks in (
    ("train", ("segmentation", "atlas", "superres")), ("evaluate", ("segmentation", "superres"))) for task in tasks])
def test_every_task_has_its_options(words, capsys):
    with pytest.raises(SystemExit) as ended:
        main([*words, "--help"])
    assert ended.value.code == 0
    assert f"usage: meddl {words[0]} {words[1]}" in capsys.readouterr().out
