"""Whether a volume is one of those that a model is for."""

from meddl.core.errors import InputError
from meddl.models.cards import ModelCard
from meddl.models.catalog.volume_check import look_at, reasons_to_doubt
from meddl.models.listing import entry_of_card
from meddl.models.volume_metadata import metadata_of_volume
from meddl.recognition.recognize import metadata_with_region
from meddl.spatial.normalize import check_magnitude
from meddl.spatial.volume import Volume


def reasons_against(volume: Volume, card: ModelCard) -> tuple[str, ...]:
    """Why a volume is none of those that a model is for, in sentences; empty where nothing speaks against it.

    Args:
        volume: (C, I, J, K); the first channel is looked at.

    Raises:
        InputError: the volume is constant, or has no finite value.
    """
    check_magnitude(volume.data)
    metadata = metadata_of_volume(volume) if card.region is None else metadata_with_region(volume)
    look = look_at(volume.data[0].transpose(2, 1, 0), metadata.modality)
    if look.invalid_fraction == 1 or look.minimum == look.maximum:
        raise InputError(f"It cannot be used. {reasons_to_doubt(look, metadata)[0]}")
    plain = reasons_to_doubt(look, metadata)
    return tuple(one for one in reasons_to_doubt(look, metadata, entry_of_card(card)) if one not in plain)
