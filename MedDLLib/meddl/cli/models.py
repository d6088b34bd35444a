"""The commands that keep the models of this machine: list, install, verify, remove."""

import argparse

from meddl.cli.terminal import TerminalProgress, warn
from meddl.errors import ModelError


def fill_models(parser: argparse.ArgumentParser, _words: list[str]) -> None:
    """Add the actions of `meddl models`."""
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="the models on this machine")
    listing.set_defaults(function=_list_models)
    install = actions.add_parser("install", help="install a model, also without a network")
    install.add_argument("source", metavar="SOURCE", help="URL of a zip archive, or a local zip archive or folder")
    install.add_argument("--sha256", help="of the archive, where its publisher states it")
    install.add_argument("--accept-license", action="store_true", help="accept the license of the weights")
    install.set_defaults(function=_install_model)
    foreign = actions.add_parser("import", help="install a trained nnU-Net v2 from its folder or a zip of it")
    foreign.add_argument("source", metavar="SOURCE", help="folder with plans.json, dataset.json and fold_*, or a zip")
    foreign.add_argument("--id", dest="identifier", help="what the model is called here (default: from its files)")
    foreign.add_argument("--name", help="the name that a person reads (default: from the model)")
    foreign.add_argument("--orientation", metavar="RAS", help="axis codes of the training data, where volumes are to "
                         "be turned to them; TotalSegmentator: RAS (default: volumes as they are stored)")
    foreign.add_argument("--license", dest="license_text", help="license of the weights, where the model states none")
    foreign.add_argument("--accept-license", action="store_true", help="accept the license of the weights")
    foreign.set_defaults(function=_import_model)
    verify = actions.add_parser("verify", help="compare weights with the SHA-256 that their card states")
    verify.add_argument("identifiers", metavar="ID", nargs="*", help="which models (default: all)")
    verify.set_defaults(function=_verify_models)
    remove = actions.add_parser("remove", help="delete an installed model")
    remove.add_argument("identifier", metavar="ID")
    remove.set_defaults(function=_remove_model)


def _list_models(_arguments: argparse.Namespace, _progress: TerminalProgress) -> None:
    from meddl.models.store import ModelStore

    store = ModelStore()
    rows = [("id", "version", "task", "MB", "license of the weights", "from")]
    for card in store.list():
        origin = "MedDL" if store.is_shipped(card.id) else "installed"
        rows.append((card.id, card.version, card.task, f"{card.weights.bytes / 1e6:.1f}", card.license.weights, origin))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
    for folder, problem in store.problems().items():
        warn(f"{folder}: {problem}")


def _install_model(arguments: argparse.Namespace, progress: TerminalProgress) -> None:
    from meddl.models.store import ModelStore

    store = ModelStore()
    card = store.install(arguments.source, arguments.sha256, on_progress=progress)
    if arguments.accept_license:
        store.accept_license(card.id)
    progress.clear()
    where = f" ({card.license.url})" if card.license.url else ""
    print(f"{card.id} {card.version}: {card.name}. License of the weights: {card.license.weights}{where}")


def _import_model(arguments: argparse.Namespace, progress: TerminalProgress) -> None:
    from meddl.models.store import ModelStore

    store = ModelStore()
    card = store.import_model(arguments.source, identifier=arguments.identifier, name=arguments.name,
                              orientation=arguments.orientation, license_text=arguments.license_text,
                              on_progress=progress)
    if arguments.accept_license:
        store.accept_license(card.id)
    progress.clear()
    print(f"{card.id}: {card.name}, {len(card.labels)} structures. License of the weights: {card.license.weights}")
    for note in card.recipe.notes if card.recipe else ():
        print(f"  {note}")


def _verify_models(arguments: argparse.Namespace, _progress: TerminalProgress) -> None:
    from meddl.models.store import ModelStore

    store = ModelStore()
    identifiers = arguments.identifiers or [card.id for card in store.list()]
    wrong = 0
    for identifier in identifiers:
        try:
            store.verify(identifier)
        except ModelError as error:
            wrong += 1
            warn(str(error))
        else:
            print(f"{identifier}: as its card states")
    if not arguments.identifiers:
        for folder, problem in store.problems().items():
            wrong += 1
            warn(f"{folder}: {problem}")
    if wrong:
        raise ModelError(f"{wrong} of the models cannot be used. Install them again.")


def _remove_model(arguments: argparse.Namespace, _progress: TerminalProgress) -> None:
    from meddl.models.store import ModelStore

    ModelStore().remove(arguments.identifier)
    print(f"{arguments.identifier}: removed")
