"""The versions that pip must leave as they are while it adds packages, as constraints files."""

import importlib.metadata
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

# Tools of installation, which nothing runs on and which installers may renew.
INSTALLERS = ("pip", "setuptools", "wheel")
# What PyTorch alone brings, in exact versions, and leaves behind when it is uninstalled.
TORCH_FAMILY = ("torch", "torchvision", "torchaudio", "nvidia-", "cuda-", "triton", "pytorch-triton", "sympy", "mpmath")


def pins(distributions: Iterable[importlib.metadata.Distribution] | None = None,
         leave_out: Iterable[str] = ()) -> list[str]:
    """"name==version" of each installed package, with its local version: torch==2.8.0+cu128.

    Args:
        distributions: those installed; default: all of this interpreter. Of two with one name, the first counts.
        leave_out: names, or beginnings of names that end in "-", of packages that may change.
    """
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import canonicalize_name

    found: dict[str, str] = {}
    for distribution in importlib.metadata.distributions() if distributions is None else distributions:
        text = f"{distribution.metadata['Name']}=={distribution.metadata['Version']}"
        try:
            found.setdefault(canonicalize_name(Requirement(text).name), text)
        except InvalidRequirement:  # the rest of a package that was removed, or a version that pip does not know either
            continue
    free = {canonicalize_name(name) for name in (*INSTALLERS, *leave_out) if not name.endswith("-")}
    families = tuple(name for name in leave_out if name.endswith("-"))
    return [text for name, text in sorted(found.items()) if name not in free and not name.startswith(families)]


@contextmanager
def constraints_file(leave_out: Iterable[str] = ()) -> Iterator[Path]:
    """A file for pip's option `--constraint` that holds `pins(leave_out=leave_out)`, as long as it is needed."""
    with tempfile.TemporaryDirectory(prefix="meddl-") as folder:
        path = Path(folder) / "constraints.txt"
        path.write_text("".join(f"{pin}\n" for pin in pins(leave_out=leave_out)), encoding="utf-8")
        yield path


@contextmanager
def constrained_pip(leave_out: Iterable[str] = ()) -> Iterator[None]:
    """Let every pip that is started meanwhile obey `constraints_file`, whoever starts it."""
    before = os.environ.get("PIP_CONSTRAINT")
    with constraints_file(leave_out) as path:
        # As a URI: pip splits the variable at spaces, which a path may hold.
        os.environ["PIP_CONSTRAINT"] = " ".join(filter(None, (before, path.as_uri())))
        try:
            yield
        finally:
            if before is None:
                del os.environ["PIP_CONSTRAINT"]
            else:
                os.environ["PIP_CONSTRAINT"] = before
