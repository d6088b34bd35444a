"""Selection of a model's structures by name."""

from slicer.i18n import tr as _

from meddl.models.catalog.structure_names import match_structures

_SHOWN = 40


def chosen_structures(text: str, card) -> tuple[str, ...]:
    """Names of a card's structures, in its order.

    Args:
        text: what `structure_names.match_structures` takes, with commas between; empty: all structures.
        card: of an installed model.

    Returns:
        Empty where all are wanted.

    Raises:
        InputError: the model has no such structure; the message names similar ones.
    """
    return tuple(label.name for label in match_structures(card.labels, text)) if text.strip(" ,;") else ()


def structures_tip(model) -> str:
    """What can be written, and the structures of a model of the list; for a tooltip."""
    text = _("Segment only these structures, which may be faster: names or parts of names, separated by commas.")
    if model is None:
        return text
    names = [structure.name for structure in model.entry.structures]
    more = _(" and {count} more").format(count=len(names) - _SHOWN) if len(names) > _SHOWN else ""
    return f"{text}\n\n{', '.join(names[:_SHOWN])}{more}"
