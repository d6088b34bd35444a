"""How the threads of torch's OpenMP wait for each other."""

from collections.abc import MutableMapping

_SPINS = 2000  # one to two hundred microseconds: longer than the gaps between the many short operations of a run


def wait_briefly(environment: MutableMapping[str, str]) -> None:
    """Let waiting threads spin for a short while and then sleep, unless the environment says otherwise already.

    By default they spin for long. On a machine whose cores are busy the thread that spins keeps the one that it waits
    for from running, and many short operations take several times as long. Where they sleep at once, waking them costs
    a quarter of a segmentation of a head on idle cores. It counts for a process that loads torch afterwards.
    """
    if "OMP_WAIT_POLICY" not in environment:
        environment.setdefault("GOMP_SPINCOUNT", str(_SPINS))
        environment.setdefault("KMP_BLOCKTIME", "1")  # ms; the OpenMP of Windows and macOS
