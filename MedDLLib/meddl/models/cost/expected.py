"""What a run is expected to take."""

from dataclasses import dataclass

BASE_BYTES = 600e6  # Python with torch and MONAI


@dataclass(frozen=True)
class Expected:
    """An estimate: seconds on an idle machine, bytes of memory on the device, its name in words, windows of the
    networks."""

    seconds: float
    memory_bytes: float
    device: str
    windows: int = 0
