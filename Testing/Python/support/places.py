"""Where things lie in the repository, for tests."""

from pathlib import Path

SUPPORT = Path(__file__).resolve().parent
TESTS = SUPPORT.parent
REPOSITORY = TESTS.parents[1]
LIBRARY = REPOSITORY / "MedDLLib"
BENCHMARKS = TESTS.parent / "Benchmarks"
