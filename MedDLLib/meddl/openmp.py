"""How the threads of torch's OpenMP wait for each other."""

from collections.abc import MutableMapping


def wait_asleep(environment: MutableMapping[str, str]) -> None:
    """Let threads sleep where they wait, unless the environment says otherwise already.

    By default they spin. On a machine whose cores are busy the thread that spins keeps the one that it waits for from
    running, and many short operations take ten times as long. It counts for a process that loads torch afterwards.
    """
    environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    environment.setdefault("KMP_BLOCKTIME", "0")  # the OpenMP of Windows and macOS
