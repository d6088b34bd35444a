"""Names of structures of the left and the right, and which belong together."""

_OTHER = {"left": "right", "right": "left", "lh": "rh", "rh": "lh", "l": "r", "r": "l"}  # words that name a side


def mirrors_of(points: tuple[str, ...], boxes: tuple[str, ...] = ()) -> tuple[int, ...]:
    """For each name, points first, the number of its mirror image's: "Left eye" and "right eye", "hippocampus_L" and
    "hippocampus_R" are pairs, others their own. Empty where there is no pair, or one side lacks the other."""
    names = [(kind, *_words(name)) for kind, group in (("point", points), ("box", boxes)) for name in group]
    others = [tuple(_OTHER.get(word, word) for word in words) for words in names]
    if len(set(names)) < len(names) or set(others) != set(names) or others == names:
        return ()
    return tuple(names.index(other) for other in others)


def _words(name: str) -> list[str]:
    return "".join(one if one.isalnum() else " " for one in name.casefold()).split()
