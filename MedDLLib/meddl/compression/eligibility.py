"""Which models can be made smaller, as their cards say; needs no torch."""

from meddl.models.cards import ModelCard


def why_not_shrunk(card: ModelCard) -> str | None:
    """Why `meddl.shrink_model` cannot take this model; None where it can try."""
    if card.task != "segmentation" or card.parts or card.recipe is None:
        return (f"'{card.id}' cannot be shrunk: it is no segmentation model that was trained on volumes or imported; a "
                "collection's parts are shrunk one by one.")
    if card.recipe.previous is not None or len(card.recipe.windows.patch_voxels) != 3:
        return f"'{card.id}' cannot be shrunk: it is a cascade, or its network works on slices."
    return None
