"""Models of super-resolution and denoising that the user trained, by the methods that they fit. Reads cards alone."""

from meddl.models.cards import ModelCard
from meddl.models.store.store import ModelStore

# The model of each method of `SuperResolveConfig` that can be exchanged for one of the user's own.
METHOD_MODELS = {
    "network": "superres-through-plane", "self-training": "superres-through-plane", "edsr3d": "superres-edsr3d",
    "srcnn": "superres-srcnn", "srresnet": "superres-srresnet", "denoise": "denoise-residual",
    "denoise-autoencoder": "denoise-autoencoder", "denoise-self-supervised": "denoise-residual"}


def list_own_models(method: str, store: ModelStore | None = None) -> list[ModelCard]:
    """The installed models that can take the place of a method's own one: of the same architecture.

    Args:
        method: of `SuperResolveConfig`; there are none for a method without a network of its own.
    """
    store = store or ModelStore()
    if method not in METHOD_MODELS:
        return []
    theirs = store.card(METHOD_MODELS[method])
    return [card for card in store.list() if not store.is_shipped(card.id)
            and (card.task, architecture_of(card)) == (theirs.task, architecture_of(theirs))]


def find_method(card: ModelCard, store: ModelStore | None = None) -> str | None:
    """The method that an installed model can be used with; None where there is none."""
    return next((method for method in METHOD_MODELS
                 if card.id in {one.id for one in list_own_models(method, store)}), None)


def architecture_of(card: ModelCard) -> str:
    """The class of the first network of a model; "" where it has none."""
    return next((spec.architecture for spec in card.networks.values()), "")
