"""Options of imported models applied to a recipe: folds, overlap of patches, test-time mirroring."""

from dataclasses import replace

from meddl.core.config import SegmentConfig
from meddl.core.errors import InputError
from meddl.models.recipes import Recipe


def apply_options(recipe: Recipe, config: SegmentConfig) -> tuple[Recipe, tuple[str, ...]]:
    """The recipe with the chosen folds, overlap and mirrored axes, and sentences on what differs from its own.

    A cascade's first stage is changed like its second.

    Raises:
        InputError: a fold that the model does not have, or an impossible overlap or number of mirrored axes.
    """
    changes = []
    previous = recipe.previous
    if previous is not None:
        previous, first = apply_options(previous, replace(config, folds=_present(previous, config.folds)))
        changes += [f"First stage: {text}" for text in first]
    networks = _folds(recipe, config.folds)
    if networks != recipe.networks:
        changes.append(f"{len(networks)} of {len(recipe.networks)} networks ran: {', '.join(networks)}.")
    windows = recipe.windows
    if config.overlap is not None and config.overlap != windows.overlap:
        if not 0 <= config.overlap < 1:
            raise InputError(f"Windows overlap by 0 to below 1; got {config.overlap:g}.")
        changes.append(f"Windows overlapped by {config.overlap:g} instead of {windows.overlap:g}.")
        windows = replace(windows, overlap=config.overlap)
    if config.mirror_axes is not None and config.mirror_axes < len(windows.mirror_axes):
        changes.append(f"{config.mirror_axes} of {len(windows.mirror_axes)} axes were mirrored.")
        windows = replace(windows, mirror_axes=windows.mirror_axes[:config.mirror_axes])
    return replace(recipe, networks=networks, windows=windows, previous=previous), tuple(changes)


def _folds(recipe: Recipe, folds: tuple[str, ...]) -> tuple[str, ...]:
    """The networks of these folds; all where none is named."""
    if not folds:
        return recipe.networks
    chosen = [_matches(recipe, fold) for fold in folds]
    for fold, found in zip(folds, chosen, strict=True):
        if not found:
            raise InputError(f"The model has no fold '{fold}'; it has {', '.join(map(_short, recipe.networks))}.")
    return tuple(name for name in recipe.networks if any(name in found for found in chosen))


def _present(recipe: Recipe, folds: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the folds that the recipe has: a cascade's stages may be trained on different ones."""
    return tuple(fold for fold in folds if _matches(recipe, fold))


def _matches(recipe: Recipe, fold: str) -> list[str]:
    return [name for name in recipe.networks if str(fold) in (name, _short(name))]


def _short(name: str) -> str:
    return name.removeprefix("previous_").removeprefix("fold_")
