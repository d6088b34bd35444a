"""NIfTI files are read without ITK, as nibabel reads them: which grid counts, scaling, axes, pairs; what is refused."""

import gzip
import struct
import subprocess
import sys
import warnings
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

import meddl
from meddl.core.errors import FileFormatError, FileWarning, GeometryError
from meddl.core.paths import data_folder
from meddl.io import from_sitk, load, save, time_step
from meddl.spatial.volume import Volume

OBLIQUE = np.array([[-1.9, 0.2, 0.1, 30.0], [0.21, 1.4, -0.3, -12.5], [0.1, 0.24, 2.5, 7.0], [0, 0, 0, 1.0]])
HEADERS = 300


def turned(spacing=(1.9, 1.4, 2.5), seed=None) -> np.ndarray:
    """An oblique affine with axes at right angles."""
    start = OBLIQUE[:3, :3] if seed is None else np.random.default_rng(seed).normal(size=(3, 3))
    turn, _ = np.linalg.qr(start)
    affine = OBLIQUE.copy()
    affine[:3, :3] = turn * spacing
    return affine


def written(path: Path, affine=None, dtype="<i2", sform=1, qform=1, shape=(5, 6, 7), kind=nibabel.Nifti1Image,
            **fields) -> Path:
    """A file of these voxels whose header has these codes, and then these entries as they are given."""
    array = (np.arange(np.prod(shape)) % 100).reshape(shape).astype(dtype)
    header = kind.header_class(endianness=">" if np.dtype(dtype).str[0] == ">" else "<")
    affine = turned() if affine is None else affine
    image = kind(array, affine, header, dtype=np.dtype(dtype).newbyteorder("="))
    image.set_sform(affine, sform)
    image.set_qform(affine, qform)
    image.header.set_xyzt_units("mm", "sec")
    for name, value in fields.items():
        image.header[name] = value
    nibabel.save(image, path)
    return path


def patched(path: Path, *entries: tuple[int, str, tuple]) -> Path:
    """The uncompressed file with bytes of its header replaced: (place, layout, values)."""
    raw = bytearray(path.read_bytes())
    for place, layout, values in entries:
        struct.pack_into(layout, raw, place, *values)
    path.write_bytes(raw)
    return path


def loaded(path: Path, component="all") -> tuple[Volume, list[str]]:
    """The volume and what was warned of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", FileWarning)
        volume = load(path, component)
    return volume, [str(one.message) for one in caught]


def of_itk(path: Path):
    return from_sitk(sitk.ReadImage(str(path), imageIO="NiftiImageIO"))


# --- usual files ---


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("dtype", ["<i2", ">i2", "u1", "<f4", "<f8", "<u2", "<i4"])
@pytest.mark.parametrize("codes", [(1, 1), (0, 1), (1, 0), (2, 4)])
def test_usual_files_are_read_as_itk_reads_them(tmp_path, suffix, dtype, codes):
    path = written(tmp_path / f"a{suffix}", dtype=dtype, sform=codes[0], qform=codes[1])
    (found, told), expected = loaded(path), of_itk(path)
    assert found.data.dtype == expected.data.dtype
    assert np.array_equal(found.data, expected.data)
    np.testing.assert_allclose(found.affine, expected.affine, atol=2e-6)
    assert found.data.flags.writeable
    assert not told


@pytest.mark.parametrize("axes", [(-1, 1, 1), (-1, -1, 1), (1, -1, 1), (-1, -1, -1)])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (0, 2, 1), (1, 2, 0)])
def test_half_turns_and_mirrors_are_understood(tmp_path, axes, order):
    affine = np.diag([*np.array([1.1, 1.2, 1.3]) * axes, 1.0])[[*order, 3]]
    for codes in ((1, 1), (0, 1)):
        path = written(tmp_path / "a.nii", affine, sform=codes[0], qform=codes[1])
        np.testing.assert_allclose(loaded(path)[0].affine, of_itk(path).affine, atol=2e-6)


def test_a_voxel_size_is_exactly_what_the_header_says(tmp_path):
    found = load(written(tmp_path / "a.nii", turned((0.9375, 0.9375, 1.5))))
    assert np.abs(np.linalg.norm(found.affine[:3, :3], axis=0) - [0.9375, 0.9375, 1.5]).max() < 1e-12


def test_reading_and_segmenting_do_not_load_itk(tmp_path):
    paths = [str(written(tmp_path / "a.nii.gz")), str(tmp_path / "a.nrrd"), str(tmp_path / "a.mha")]
    for path in paths[1:]:
        save(load(paths[0]), path)
    code = (f"import sys, meddl; [meddl.load(path) for path in {paths!r}]; meddl.segment; "
            "sys.exit('SimpleITK' in sys.modules or 'SimpleITK.SimpleITK' in sys.modules)")
    library = Path(meddl.__file__).parents[1]
    assert subprocess.run([sys.executable, "-c", code], cwd=library, check=False).returncode == 0


def test_real_files_are_read_as_nibabel_reads_them():
    folder = data_folder()
    if folder is None:
        pytest.skip("no real volumes")
    paths = [path for path in sorted(folder.rglob("*.nii.gz"))
             if path.stat().st_size < 3_000_000 and "field" not in path.parts][:12]
    assert paths
    for path in paths:
        found, expected = loaded(path)[0], nibabel.load(path)
        assert np.allclose(found.data[0], np.asanyarray(expected.dataobj)), path
        np.testing.assert_allclose(found.affine, expected.affine, atol=1e-4, err_msg=str(path))


# --- nibabel as witness ---


def random_header(path: Path, random: np.random.Generator) -> Path:
    """A valid file of random kind, type, byte order, axes, codes, forms, voxel size and scaling."""
    kind = nibabel.Nifti2Image if random.random() < 0.3 else nibabel.Nifti1Image
    dtype = str(random.choice(["<i2", ">i2", "|u1", "|i1", "<u2", ">u2", "<i4", ">f4", "<f4", "<f8", "<u4", "<i8"]))
    shape = (*random.integers(1, 6, 3), *[(), (), (3,), (1, 2), (1,)][random.integers(5)])
    header = kind.header_class(endianness=">" if dtype[0] == ">" else "<")
    image = kind(random.integers(0, 100, shape).astype(dtype), np.eye(4), header,
                 dtype=np.dtype(dtype).newbyteorder("="))
    qform = turned(random.uniform(0.3, 4, 3), random.integers(1 << 30))
    qform[:3, 3] = random.normal(0, 80, 3)
    image.set_qform(qform, int(random.integers(0, 5)))
    sform = OBLIQUE.copy() if random.random() < 0.3 else qform if random.random() < 0.5 else turned((1, 2, 3), 5)
    image.set_sform(sform, int(random.integers(0, 5)))
    zooms = [*random.choice([1.0, 2.4, 0.5], 3)]
    if random.random() < 0.3:  # a voxel size that contradicts the sform
        image.header["pixdim"][1:4] = zooms
    image.header["scl_slope"], image.header["scl_inter"] = [(np.nan, np.nan), (2.5, -3.0), (1, -1024), (0, -1024)][
        random.integers(4)] if random.random() < 0.5 else (np.nan, np.nan)
    slope, intercept = image.header["scl_slope"].item(), image.header["scl_inter"].item()
    nibabel.save(image, path)
    if path.suffix == ".nii":  # nibabel writes its own scaling
        order, double = header.endianness, kind is nibabel.Nifti2Image
        patched(path, (176, f"{order}2d", (slope, intercept)) if double else (112, f"{order}2f", (slope, intercept)))
    return path


def test_random_valid_headers_are_read_as_nibabel_reads_them(tmp_path):
    random, differing = np.random.default_rng(20240615), []
    for number in range(HEADERS):
        path = random_header(tmp_path / ("a.nii" if random.random() < 0.7 else "a.nii.gz"), random)
        volume, expected = loaded(path)[0], nibabel.load(path)
        values = np.asanyarray(expected.dataobj)
        values = values.reshape(*values.shape[:3], -1).transpose(3, 0, 1, 2)
        if not (np.allclose(volume.affine, expected.affine, atol=1e-4) and volume.data.shape == values.shape
                and np.allclose(volume.data, values, rtol=1e-6)):
            differing.append((number, dict(expected.header)))
    assert not differing, f"{len(differing)} of {HEADERS}: {differing[:1]}"


# --- which grid counts ---


@pytest.mark.parametrize("pixdim", [(1, 1, 1), (0, 0, 0), (-1, 2, 3), (np.inf, 1, 1), (np.nan, 1, 1)])
def test_the_sform_alone_says_the_voxel_size_whatever_pixdim_says(tmp_path, pixdim):
    path = patched(written(tmp_path / "a.nii", qform=0), (80, "<3f", pixdim))
    found, told = loaded(path)
    np.testing.assert_allclose(found.spacing_mm, [1.9, 1.4, 2.5], rtol=1e-5)
    assert not told


def test_a_file_without_codes_is_read_as_nibabel_does_and_the_cause_is_named(tmp_path):
    path = written(tmp_path / "a.nii.gz", sform=0, qform=0)
    found, told = loaded(path)
    np.testing.assert_allclose(found.affine, nibabel.load(path).affine, atol=1e-5)
    assert len(told) == 1
    assert "does not state its axes" in told[0]
    assert "left and right may be exchanged" in told[0]


def test_forms_that_mirror_each_other_are_warned_about(tmp_path):
    image = nibabel.load(written(tmp_path / "a.nii"))
    image.set_sform(turned() @ np.diag([-1, 1, 1, 1]), 1)
    nibabel.save(image, tmp_path / "b.nii")
    found, told = loaded(tmp_path / "b.nii")
    np.testing.assert_allclose(found.affine, image.get_sform(), atol=1e-4)
    assert len(told) == 1
    assert "mirror each other" in told[0]
    assert "sform is taken" in told[0]


def test_forms_that_contradict_each_other_are_warned_about(tmp_path):
    image = nibabel.load(written(tmp_path / "a.nii"))
    image.set_sform(np.diag([3.0, 3.0, 3.0, 1.0]) * np.sign(np.linalg.det(turned()[:3, :3])), 4)
    nibabel.save(image, tmp_path / "b.nii")
    told = loaded(tmp_path / "b.nii")[1]
    assert len(told) == 1
    assert "mm apart" in told[0]


def test_an_impossible_voxel_size_of_a_qform_is_warned_about(tmp_path):
    path = patched(written(tmp_path / "a.nii", sform=0), (80, "<3f", (-1.9, 0, 2.5)))
    found, told = loaded(path)
    np.testing.assert_allclose(found.spacing_mm, [1.9, 1, 2.5], rtol=1e-6)
    np.testing.assert_allclose(found.affine, nibabel.load(path).affine, atol=1e-4)
    assert "impossible voxel size" in told[0]


@pytest.mark.parametrize(("codes", "entry", "word"), [
    ((0, 1), (280, "<12f", (np.inf,) * 12), "sform"), ((0, 1), (316, "<f", (np.nan,)), "sform"),
    ((0, 1), (280, "<12f", (0.0,) * 12), "do not span"), ((1, 0), (256, "<f", (np.nan,)), "qform"),
    ((1, 0), (256, "<f", (1e30,)), "qform"), ((1, 0), (80, "<f", (np.inf,)), "voxel size"),
    ((0, 0), (80, "<f", (np.inf,)), "voxel size")])
def test_a_grid_that_is_not_finite_is_refused_at_once(tmp_path, codes, entry, word):
    path = patched(written(tmp_path / "a.nii", qform=codes[0], sform=codes[1]), entry)
    with pytest.raises(FileFormatError, match=word):
        load(path)


@pytest.mark.parametrize(("unit", "factor"), [("meter", 1000.0), ("micron", 0.001)])
def test_lengths_in_other_units_become_mm(tmp_path, unit, factor):
    image = nibabel.load(written(tmp_path / "a.nii"))
    image.header.set_xyzt_units(unit)
    nibabel.save(image, tmp_path / "b.nii")
    np.testing.assert_allclose(load(tmp_path / "b.nii").affine[:3], turned()[:3] * factor, rtol=1e-4, atol=1e-6)


# --- voxels ---


@pytest.mark.parametrize(("slope", "intercept"), [(0, -1024), (0, 0), (np.nan, np.nan), (np.inf, 2), (1, 0)])
def test_a_slope_that_scales_nothing_leaves_the_voxels_alone(tmp_path, slope, intercept):
    found = load(patched(written(tmp_path / "a.nii"), (112, "<2f", (slope, intercept))))
    assert found.data.dtype == np.int16
    assert np.array_equal(found.data[0], np.arange(210).reshape(5, 6, 7) % 100)


def test_scaled_voxels_are_real_numbers(tmp_path):
    found = load(patched(written(tmp_path / "a.nii"), (112, "<2f", (0.5, -3))))
    assert found.data.dtype == np.float32
    assert np.array_equal(found.data[0], (np.arange(210).reshape(5, 6, 7) % 100) * 0.5 - 3)


@pytest.mark.parametrize("entries", [
    [(72, "<h", (8,))], [(72, "<h", (0,))], [(70, "<h", (1,))], [(70, "<h", (-7,))], [(108, "<f", (np.nan,))],
    [(108, "<f", (-352,))], [(108, "<f", (100,))], [(112, "<2f", (2, np.nan))], [(40, "<8h", (3, 5, 0, 7, 1, 1, 1, 1))],
    [(40, "<8h", (0, 5, 6, 7, 1, 1, 1, 1))], [(40, "<8h", (5, 5, 6, 1, 7, 2, 1, 1))], [(344, "<4s", (b"nope",))],
    [(0, "<i", (0,))], [(40, "<8h", (7, *[32767] * 7))]])
def test_an_impossible_header_is_refused(tmp_path, entries):
    with pytest.raises(FileFormatError, match=r"a\.nii"):
        load(patched(written(tmp_path / "a.nii"), *entries))


def test_vectors_colors_and_times_become_channels(tmp_path):
    vectors = written(tmp_path / "v.nii", shape=(5, 6, 7, 1, 3), dtype="<f4")
    assert loaded(vectors)[0].data.shape == (3, 5, 6, 7)
    colors = np.zeros((5, 6, 7), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    colors["G"] = 7
    nibabel.save(nibabel.Nifti1Image(colors, turned()), tmp_path / "c.nii.gz")
    assert [int(channel.max()) for channel in loaded(tmp_path / "c.nii.gz")[0].data] == [0, 7, 0]
    times = written(tmp_path / "t.nii.gz", shape=(5, 6, 7, 4), xyzt_units=2 + 16,
                    pixdim=[1, 1.9, 1.4, 2.5, 800, 1, 1, 1])
    assert time_step(times) == pytest.approx(0.8)
    assert np.array_equal(load(times, 2).data, loaded(times)[0].data[2:3])


@pytest.mark.parametrize("suffix", [".hdr", ".img"])
@pytest.mark.parametrize("kind", [nibabel.Nifti1Pair, nibabel.AnalyzeImage])
def test_pairs_are_read_from_either_file(tmp_path, kind, suffix):
    array = np.arange(210).reshape(5, 6, 7).astype(np.int16)
    nibabel.save(kind(array, np.diag([-2.0, 2, 3, 1])), tmp_path / "a.img")
    found, told = loaded(tmp_path / f"a{suffix}")
    assert np.array_equal(found.data[0], array)
    np.testing.assert_allclose(found.spacing_mm, [2, 2, 3])
    assert bool(told) == (kind is nibabel.AnalyzeImage)
    (tmp_path / "a.img").unlink()
    if suffix == ".hdr":
        with pytest.raises(FileFormatError, match="not beside it"):
            load(tmp_path / "a.hdr")


def test_displacements_in_ras_have_the_sign_that_itk_gives_them(tmp_path):
    path = written(tmp_path / "v.nii", shape=(5, 6, 7, 1, 3), dtype="<f4", intent_code=1006)
    expected = sitk.GetArrayFromImage(sitk.ReadImage(str(path))).transpose(3, 2, 1, 0)
    assert np.array_equal(loaded(path)[0].data, expected)


# --- whole or refused ---


def test_a_file_that_is_cut_off_or_changed_is_refused(tmp_path):
    whole = written(tmp_path / "a.nii.gz").read_bytes()
    for name, content in (("cut.nii.gz", whole[:-20]), ("changed.nii.gz", whole[:-8] + bytes(4) + whole[-4:])):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(FileFormatError):
            load(tmp_path / name)
    plain = written(tmp_path / "a.nii").read_bytes()
    (tmp_path / "cut.nii").write_bytes(plain[:-5])
    with pytest.raises(FileFormatError):
        load(tmp_path / "cut.nii")


def test_a_bomb_behind_a_small_header_is_not_unpacked(tmp_path):
    plain = written(tmp_path / "a.nii").read_bytes()
    (tmp_path / "b.nii.gz").write_bytes(gzip.compress(plain + bytes(200_000_000), 1))
    with pytest.raises(FileFormatError, match="far more than"):
        load(tmp_path / "b.nii.gz")


def test_what_slicer_shows_and_what_is_read_differ_only_where_the_docs_say(tmp_path):
    slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")
    import vtk

    def shown(path: Path) -> np.ndarray:
        scene = slicer.vtkMRMLScene()
        node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
        storage = scene.AddNewNodeByClass("vtkMRMLVolumeArchetypeStorageNode")
        storage.SetFileName(str(path))
        storage.ReadData(node)
        matrix = vtk.vtkMatrix4x4()
        node.GetIJKToRASMatrix(matrix)
        return np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])

    for codes in ((1, 1), (0, 1), (1, 0), (2, 4)):
        path = written(tmp_path / f"same{codes[0]}{codes[1]}.nii", qform=codes[0], sform=codes[1])
        np.testing.assert_allclose(shown(path), load(path).affine, atol=1e-4)
    unstated = written(tmp_path / "unstated.nii", qform=0, sform=0)
    assert np.linalg.det(shown(unstated)[:3, :3]) > 0 > np.linalg.det(loaded(unstated)[0].affine[:3, :3])


def test_a_singular_grid_is_no_geometry(tmp_path):
    with pytest.raises((GeometryError, FileFormatError)):
        load(patched(written(tmp_path / "a.nii", qform=0), (280, "<12f", (1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0))))
