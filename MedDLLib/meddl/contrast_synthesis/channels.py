"""Channels of a model that were not imaged, synthesized from the one that was."""

from collections.abc import Mapping, Sequence

from meddl.contrast_synthesis.contrasts import TARGETS
from meddl.contrast_synthesis.synthesize import synthesize_contrast
from meddl.core.errors import InputError
from meddl.core.progress import ProgressCallback, span
from meddl.io import VolumeLike, as_volume
from meddl.models.store.store import ModelStore
from meddl.spatial.volume import Volume

_AGENT = ("gd", "ce", "post", "contrast", "t1c", "gad")  # in names of channels with contrast agent


def complete_channels(volume: VolumeLike, others: Sequence[VolumeLike] | Mapping[str, VolumeLike] = (),
                      model: str = "brain", *, device: str = "auto", on_progress: ProgressCallback | None = None
                      ) -> tuple[dict[str, Volume], tuple[str, ...]]:
    """The further channels of a model, those that are missing synthesized from `volume`: `others` of `meddl.segment`.

    Args:
        volume: the first channel of the model that is not named in `others`.
        others: the channels that there are besides: in the model's order after the first, or by name.
        model: identifier of an installed model of several channels.
        device: auto, cpu, cuda, cuda:N or mps.

    Returns:
        All channels but that of `volume` by name, and a warning for each that was synthesized.

    Raises:
        InputError: a channel that no contrast of `TARGETS` is, such as one with contrast agent; more volumes than
            channels; or as of `synthesize_contrast`.
        ModelNotFoundError, ModelError: a model that cannot be used.
        Cancelled: from `on_progress`.
    """
    names = ModelStore().card(model).channel_names
    if len(names) < 2:
        raise InputError(f"The model '{model}' takes one channel: there is none to synthesize.")
    volume = as_volume(volume, "volume")
    given = _by_name(others, names)
    free = [name for name in names if name not in given]
    if not free:
        raise InputError(f"The model '{model}' takes {len(names)} channels; {1 + len(given)} volumes were given.")
    missing = free[1:]
    contrasts = {name: contrast_of_channel(name) for name in missing}
    warnings: list[str] = []
    for number, (name, contrast) in enumerate(contrasts.items()):
        part = span(on_progress, number / len(missing), (number + 1) / len(missing), f"{name}: ")
        found = synthesize_contrast(volume, contrast, device=device, on_progress=part)
        given[name] = found.volume
        warnings.append(f"The channel '{name}' was missing and is synthesized from '{free[0]}': invented, not "
                        "measured. Do not rely on what the model finds in it alone.")
        warnings += [text for text in found.report["warnings"][1:] if text not in warnings]
    return given, tuple(warnings)


def contrast_of_channel(name: str) -> str:
    """The word of the contrast that a channel of this name shows.

    Raises:
        InputError: none that can be synthesized.
    """
    plain = name.casefold().replace("-", "").replace("_", "").replace(" ", "")
    with_agent = any(word in plain for word in _AGENT)
    found = [word for word in reversed(TARGETS) if word in plain]  # FLAIR before T2: T2 FLAIR is FLAIR
    if with_agent or not found:
        raise InputError(f"The channel '{name}' cannot be synthesized: {', '.join(TARGETS.values())} without contrast "
                         "agent can. Give a volume for it.")
    return found[0]


def _by_name(others: Sequence[VolumeLike] | Mapping[str, VolumeLike], names: Sequence[str]) -> dict[str, Volume]:
    """The volumes by the model's names of their channels."""
    if not isinstance(others, Mapping):
        if len(others) >= len(names):
            raise InputError(f"The model takes {len(names)} channels; {1 + len(others)} volumes were given.")
        return {name: as_volume(one, name) for name, one in zip(names[1:], others, strict=False)}
    found = {}
    for given, one in others.items():
        match = [name for name in names if name.casefold() == str(given).strip().casefold()]
        if not match or match[0] in found:
            raise InputError(f"'{given}' names no channel of its own; the model takes {', '.join(names)}.")
        found[match[0]] = as_volume(one, match[0])
    return found
