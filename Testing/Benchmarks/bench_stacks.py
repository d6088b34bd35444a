"""Several stacks into one volume: PSNR against the best single stack, on real and rendered heads; time and memory.

    python Testing/Benchmarks/bench_stacks.py                        # the table of docs/benchmarks.md
    python Testing/Benchmarks/bench_stacks.py --time 256             # 256^3 alone
    python Testing/Benchmarks/bench_stacks.py --time 256 --slice-motion 2  # the same, motion between slices corrected
    python Testing/Benchmarks/bench_stacks.py --contrasts            # correlations of equal and of different contrasts
    python Testing/Benchmarks/bench_stacks.py --slice-motion 2 0     # each slice moved by so many mm and degrees (SD)
"""

import argparse
import itertools
import time

import numpy as np
import superres_cases as cases

import meddl
from meddl.core.errors import InputError
from meddl.core.memory import peak_mb, reset_peak
from meddl.core.paths import data_folder
from meddl.spatial.volume import Volume
from meddl.superres.stacks import resolve

HEADS = ("chris_t1", "ecog_t1", "vm", "rendered 13", "rendered 15")
RIGID = meddl.RegisterConfig(transform_type="rigid", levels_mm=(4.0, 2.0, 1.0), estimate_quality=False)
CONTRASTS = ("t1", "t1post", "t2", "flair")


def psnr(made: Volume, case: cases.Case, axes=(0, 1, 2)) -> float:
    """PSNR inside the object, of a volume whose voxels include the truth's."""
    start = made.grid.indices(case.truth.affine[:3, 3])
    first = np.rint(start).astype(int)
    assert np.abs(start - first).max() < 0.02, start
    truth = case.truth.scalar_data
    part = made.scalar_data[tuple(slice(a, a + n) for a, n in zip(first, truth.shape, strict=True))]
    mask = cases.foreground(truth, axes, case.factor)
    error = np.mean(np.square(part[mask].astype(float) - truth[mask]))
    return float(20 * np.log10(np.subtract(*np.percentile(truth, (99.9, 0.1))) / np.sqrt(error)))


def measure(name: str, factor: float, profile: str, voxels: int, method: str, degrees: float) -> None:
    """One row: the best single stack, all stacks, and how true the registration is."""
    given = cases.stacks(name, factor, profile, voxels, degrees, degrees)
    config = meddl.SuperResolveConfig(method=method)
    alone = [psnr(meddl.super_resolve(case.given, config, device="cpu").volume, case) for case in given]
    reset_peak()
    start = time.perf_counter()
    found = meddl.super_resolve([case.given for case in given], config, device="cpu")
    seconds = time.perf_counter() - start
    both = psnr(found.volume, given[0])
    over = ", ".join(f"{one['residual_over_noise']:.2f}" for one in found.report["stacks"])
    single = ", ".join(f"{one:.2f}" for one in alone)
    print(f"{name:12s} x{factor:g} {profile:14s} {degrees:g} deg: alone {single}; "
          f"all {both:.2f} dB ({both - max(alone):+.2f}); residual / noise {over}; {seconds:.0f} s, {peak_mb():.0f} MB "
          f"{found.report['seconds']}", flush=True)


def measure_slice_motion(name: str, amount: float, voxels: int, method: str) -> None:
    """One row: without and with the correction of motion between slices, PSNR once registered to the truth."""
    given = cases.moving_stacks(name, 4.0, voxels, amount, amount)
    resolve.LEAST_CORRELATION = -1.0  # else what has moved much is refused without the correction
    parts = []
    for corrected in (False, True):
        config = meddl.SuperResolveConfig(method=method, slice_motion=corrected)
        start = time.process_time()
        try:
            found = meddl.super_resolve([case.given for case in given], config, device="cpu")
        except InputError as error:
            parts.append(str(error))
            continue
        back = meddl.register(given[0].truth, found.volume, RIGID, device="cpu").warp(found.volume)
        parts.append(f"{psnr(back, given[0]):.2f} dB in {time.process_time() - start:.0f} s of the processor")
        if corrected:
            each = [one["slice_motion_mm"] for one in found.report["stacks"]]
            parts.append(f"displacements {', '.join(str(one['median']) for one in each)} mm, "
                         f"{'corrected' if each[0]['corrected'] else 'left as it is'}")
    print(f"{name:12s} slices moved by {amount:g} mm and degrees: " + "; ".join(parts), flush=True)


def measure_time(name: str, voxels: int, method: str, moved: float) -> None:
    """Seconds and memory of three stacks whose slices have moved by so many mm and degrees, with the correction."""
    given = [case.given for case in cases.moving_stacks(name, 4.0, voxels, moved, moved)]
    reset_peak()
    start, used = time.perf_counter(), time.process_time()
    found = meddl.super_resolve(given, meddl.SuperResolveConfig(method=method, slice_motion=True), device="cpu")
    print(f"{name} slices moved by {moved:g} mm and degrees: {found.volume.shape} voxels, "
          f"{time.perf_counter() - start:.0f} s, {time.process_time() - used:.0f} s of the processor, "
          f"{peak_mb():.0f} MB {found.report['seconds']}; "
          f"{[one['slice_motion_mm'] for one in found.report['stacks']]}", flush=True)


def show_contrasts(voxels: int) -> None:
    """The correlation of each pair of contrasts of one subject after registration, thick along different axes; and what
    is said with the correction of motion between slices."""
    resolve.LEAST_CORRELATION, least = -1.0, resolve.LEAST_CORRELATION
    volumes = {name: meddl.load(data_folder() / "ms" / f"ms07_{name}.nii.gz") for name in CONTRASTS}
    for first, second in itertools.combinations_with_replacement(CONTRASTS, 2):
        given = []
        for axis, name in ((2, first), (1, second)):
            given.append(cases.thick(volumes[name], axis, 4.0, voxels))
        for corrected in (False, True):
            config = meddl.SuperResolveConfig(method="cubic", slice_motion=corrected)
            try:
                correlation = meddl.super_resolve(given, config, device="cpu").report["stacks"][1]["correlation"]
                text = f"correlation {correlation:.3f}"
            except InputError as error:
                text = str(error)
            print(f"{first} with {second}{', slice motion' if corrected else ''}: {text}", flush=True)
    print(f"least: {least}")


def main() -> None:
    """Run what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--heads", nargs="*", default=HEADS)
    parser.add_argument("--factors", nargs="*", type=float, default=[4.0])
    parser.add_argument("--profiles", nargs="*", default=["gaussian"])
    parser.add_argument("--degrees", nargs="*", type=float, default=[3.0])
    parser.add_argument("--voxels", type=int, default=160)
    parser.add_argument("--method", default="network")
    parser.add_argument("--time", type=int, metavar="VOXELS")
    parser.add_argument("--contrasts", action="store_true")
    parser.add_argument("--slice-motion", nargs="*", type=float, metavar="MM")
    chosen = parser.parse_args()
    if chosen.contrasts:
        show_contrasts(chosen.voxels)
    elif chosen.time and chosen.slice_motion:
        measure_time("ecog_t1", chosen.time, chosen.method, chosen.slice_motion[0])
    elif chosen.slice_motion:
        for name, amount in itertools.product(chosen.heads, chosen.slice_motion):
            measure_slice_motion(name, amount, chosen.voxels, chosen.method)
    elif chosen.time:
        measure("ecog_t1", 4.0, "gaussian", chosen.time, chosen.method, 3.0)
    else:
        for one in itertools.product(chosen.heads, chosen.factors, chosen.profiles, chosen.degrees):
            measure(*one[:3], chosen.voxels, chosen.method, one[3])


if __name__ == "__main__":
    main()
