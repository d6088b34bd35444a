"""The command that Slicer's CMake macros call to run a test, with the host in place of the application.

    python launcher.py --testing --additional-module-paths FOLDER [FOLDER ...] --python-code CODE

It takes the arguments of Slicer that the macros use, loads the modules of the folders as Slicer does, runs the code
and ends with its success. Nothing of the checkout is on the path but the host: the modules bring their library.
With the environment variable SLICER_SOURCE, the Python files of `slicer` are Slicer's own.
"""

import argparse
import sys
import traceback
from pathlib import Path

HOST = Path(__file__).resolve().parents[2]


def parsed(arguments):
    """The arguments; an unknown one is an error, which Slicer would take for a file to load."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    for flag in ("--no-splash", "--testing", "--no-main-window", "--disable-cli-modules"):
        parser.add_argument(flag, action="store_true")
    parser.add_argument("--additional-module-path", action="append", default=[])
    parser.add_argument("--additional-module-paths", nargs="+", default=[])
    parser.add_argument("--python-code", required=True)
    return parser.parse_args(arguments)


def use_only(folders):
    """Take every `meddl` off the path, so that only the one in `folders` can be imported."""
    kept = [place for place in sys.path if not (Path(place or ".") / "meddl").is_dir()]
    sys.path[:] = [*map(str, folders), str(HOST), *kept]


def load_modules(folders):
    """Load every script of the folders as a module."""
    import host

    for folder in folders:
        for script in sorted(folder.glob("*.py")):
            host.load_module(script.stem, folder)


def main(arguments=None):
    """Returns the exit status."""
    options = parsed(arguments)
    places = [*options.additional_module_path, *options.additional_module_paths]
    folders = [folder for folder in dict.fromkeys(map(Path, places)) if folder.is_dir()]
    use_only(folders)
    import host

    application = host.install(main_window=not options.no_main_window)
    application.set_testing_enabled(options.testing)
    import slicer

    try:
        load_modules(folders)
        exec(compile(options.python_code, "<python-code>", "exec"), {"__name__": "__main__", "slicer": slicer})  # noqa: S102
    except Exception:  # noqa: BLE001  whatever it is, the test has failed
        traceback.print_exc()
        return 1
    return 1 if host.take_unhandled() else 0


if __name__ == "__main__":
    sys.exit(main())
