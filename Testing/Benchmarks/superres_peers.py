"""The tools that bench_superres.py compares, each in an environment of its own: see peer_environments.py.

    python Testing/Benchmarks/superres_peers.py --make [ENGINE ...]     make the environments (Python 3.11)
    python Testing/Benchmarks/superres_peers.py                         say which are there
"""

from __future__ import annotations

import sys

from peer_environments import Engine, main

# torch comes first and alone, so that nothing else chooses which build of it comes; --no-deps keeps out what would
# replace it.
ENGINES = {engine.name: engine for engine in (
    Engine("eclare", (("torch==2.13.0",), ("--no-deps", "eclare==1.0.1"),
                      ("numpy==1.26.4", "scipy==1.11.4", "nibabel", "sigpy==0.1.27", "radifox-utils==1.0.3",
                       "transforms3d", "matplotlib", "tqdm", "tomli")), "eclare"),
)}

if __name__ == "__main__":
    sys.exit(main(ENGINES, "Environments of the tools that MedDL's super-resolution is compared with."))
