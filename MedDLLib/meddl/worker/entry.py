"""The script that a worker process runs: find `meddl`, then serve.

It is started by its path and gets the pipe and the caller's process id as arguments.
"""

import sys
from pathlib import Path


def _main() -> None:
    here = Path(__file__).resolve().parent
    root = str(here.parent.parent)
    others = (path for path in sys.path if path and path != root and Path(path).resolve() != here)
    sys.path[:] = [root, *others]
    from meddl.worker.server import serve

    serve(int(sys.argv[1]), int(sys.argv[2]))


if __name__ == "__main__":
    _main()
