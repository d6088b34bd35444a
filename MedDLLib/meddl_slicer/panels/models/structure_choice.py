"""Selection of a model's structures by name."""

from slicer.i18n import tr as _

from meddl.core.errors import InputError
from meddl.models.catalog.catalog import structures_named, words

_SHOWN = 40


def chosen_structures(text: str, card) -> tuple[str, ...]:
    """Names of a card's structures, in its order.

    Args:
        text: parts with commas between them; each is the name of a structure, or words that occur in names, such as
            "kidney"; empty: all structures.
        card: of an installed model.

    Returns:
        Empty where all are wanted.

    Raises:
        InputError: the model has no such structure.
    """
    wanted = set()
    for part in (part.strip() for part in text.replace(";", ",").split(",")):
        if not part:
            continue
        found = [label.name for label in card.labels if sorted(words(label.name)) == sorted(words(part))]
        found = found or [item.name for item in structures_named(_Named(card.labels), part)]
        if not found:
            raise InputError(_("The model '{model}' has no structure '{structure}'.").format(
                model=card.name, structure=part))
        wanted.update(found)
    return tuple(label.name for label in card.labels if label.name in wanted)


def structures_tip(model) -> str:
    """What can be written, and the structures of a model of the list; for a tooltip."""
    text = _("Segment only these structures, which may be faster: names or parts of names, separated by commas.")
    if model is None:
        return text
    names = [structure.name for structure in model.entry.structures]
    more = _(" and {count} more").format(count=len(names) - _SHOWN) if len(names) > _SHOWN else ""
    return f"{text}\n\n{', '.join(names[:_SHOWN])}{more}"


class _Named:
    """Labels as the catalog's functions want them."""

    def __init__(self, labels):
        self.structures = labels
