"""The commands that manage installed models: list, search, show, install, import, export, verify, remove."""

import argparse
import re
import textwrap
from pathlib import Path

from meddl.cli.inputs import add_volume, load_volume
from meddl.cli.terminal import TerminalProgress, table, warn
from meddl.core.errors import ModelError

_SHOWN_FIGURES = 8
_FIXED_SPACE = "\u00a0"
_STATES = {"ships": "MedDL", "installed": "installed", "available": "to install", "unavailable": "not here"}


def fill_models(parser: argparse.ArgumentParser, words: list[str]) -> None:
    """Add the actions of `meddl models`."""
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="the models on this machine")
    listing.add_argument("--all", action="store_true", help="also models of the catalog that are not installed")
    listing.set_defaults(function=_list_models)
    _fill_search(actions.add_parser("search", help="find a model by structure, modality or any word"))
    show = actions.add_parser("show", help="the model card of a model")
    show.add_argument("identifier", metavar="ID")
    show.set_defaults(function=_show_model)
    _fill_install(actions.add_parser("install", help="install a model of the catalog, or from an address or a file"))
    foreign = actions.add_parser("import", help="install a model of another tool from its folder or zip archive")
    foreign.add_argument("source", metavar="SOURCE", help="a trained nnU-Net v2, a MONAI bundle or an Auto3DSeg model: "
                         "a folder or a zip; or one file: an Auto3DSeg checkpoint, or TorchScript with a .json beside "
                         "it")
    foreign.add_argument("--id", dest="identifier", help="what the model is called here (default: from its files)")
    foreign.add_argument("--name", help="display name (default: from the model)")
    foreign.add_argument("--orientation", metavar="RAS", help="axis codes of the training data, where volumes are to "
                         "be reoriented to them; TotalSegmentator: RAS (default: volumes as they are stored)")
    foreign.add_argument("--configuration", metavar="NAME", help="of an nnU-Net that holds several, such as 3d_fullres "
                         "(default: the only one; a cascade where its first stage lies beside it)")
    foreign.add_argument("--checkpoint", metavar="NAME", help="file of each fold of an nnU-Net, such as "
                         "checkpoint_best.pth (default: checkpoint_final.pth, where it is there)")
    foreign.add_argument("--license", dest="license_text", help="license of the weights, where the model states none")
    foreign.add_argument("--sha256", help="of a TorchScript file, a program, which is not taken without")
    foreign.add_argument("--accept-license", action="store_true", help="accept the license of the weights")
    foreign.set_defaults(function=_import_model)
    _fill_export(actions.add_parser("export", help="write an installed model for others: MedDL, nnU-Net or MONAI"))
    _fill_shrink(actions.add_parser("shrink", help="make a faster and smaller model of an installed one"), words)
    _fill_merge(actions.add_parser("merge", help="make one model of several installed ones"))
    verify = actions.add_parser("verify", help="compare weights with the SHA-256 that their card states")
    verify.add_argument("identifiers", metavar="ID", nargs="*", help="which models (default: all)")
    verify.set_defaults(function=_verify_models)
    remove = actions.add_parser("remove", help="delete an installed model")
    remove.add_argument("identifier", metavar="ID")
    remove.set_defaults(function=_remove_model)


def _fill_search(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("words", metavar="WORD", nargs="*", help="each must occur in name, description or structures")
    parser.add_argument("--structure", help="words of one structure, such as liver or 'left kidney'")
    parser.add_argument("--modality", help="such as CT or MR")
    add_volume(parser, "--for", "sort by fit to this volume", "for-")
    parser.set_defaults(function=_search_models)


def _fill_install(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="SOURCE", help="identifier of a model in the catalog; or the URL of a zip "
                        "archive, or a local zip archive or folder, of a MedDL model")
    parser.add_argument("--from", dest="files", metavar="FILE", nargs="+", type=Path, default=[],
                        help="the model's files, downloaded otherwise: no network is used")
    parser.add_argument("--sha256", help="of the archive, where its publisher states it")
    parser.add_argument("--accept-changed", action="store_true", help="take a file that its publisher has exchanged "
                        "since the first download")
    parser.add_argument("--accept-license", action="store_true", help="accept the license of the weights")
    parser.set_defaults(function=_install_model)


def _fill_export(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("identifier", metavar="ID")
    parser.add_argument("--format", choices=("zip", "nnunet", "monai"), default="zip", help="zip, which `meddl models "
                        "install` takes; the folder of a trained nnU-Net v2; or a MONAI bundle (default: %(default)s)")
    parser.add_argument("-o", "--output", metavar="OUT", type=Path, required=True, help="archive, or new folder")
    parser.set_defaults(function=_export_model)


def _fill_shrink(parser: argparse.ArgumentParser, words: list[str]) -> None:
    parser.add_argument("identifier", metavar="ID")
    parser.add_argument("--volumes", metavar="FOLDER", type=Path, required=True, help="volumes like those that the "
                        "model is for: most of them teach the small network, a fifth checks it")
    parser.add_argument("--labels", metavar="FOLDER", type=Path, help="label maps of the volumes, of the same names "
                        "and with the model's values (default: what the model finds is taken for the truth)")
    parser.add_argument("--name", help="of the small model, whose identifier is made of it (default: that of the large "
                        "one with 'small' behind it)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    if words[:1] == ["shrink"]:
        from meddl.cli.options import add_config_options
        from meddl.compression.config import ShrinkConfig

        add_config_options(parser, ShrinkConfig, (), "options")
    parser.set_defaults(function=_shrink_model)


def _fill_merge(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("identifier", metavar="ID", help="of the new model, which refers to its parts: weights are not "
                        "copied")
    parser.add_argument("parts", metavar="PART", nargs="+", help="identifiers of the models, in the order in which "
                        "they run: where two label a voxel, the later one wins")
    parser.add_argument("--name", help="display name (default: ID)")
    parser.add_argument("--class-map", metavar="FILE", type=Path, help="JSON with the name of each label value, such "
                        "as {\"1\": \"spleen\"}; other structures are left out (default: all, numbered from 1)")
    parser.add_argument("--accept-license", action="store_true", help="accept the licenses of the weights")
    parser.set_defaults(function=_merge_models)


def _list_models(arguments: argparse.Namespace, _progress: TerminalProgress) -> None:
    from meddl.models.listing import list_models
    from meddl.models.store.store import ModelStore

    store = ModelStore()
    rows = [(card.id, card.version, card.task, str(len(card.labels) or "-"), _megabytes(store.bytes_of(card)),
             card.license.weights, "MedDL" if store.is_shipped(card.id) else "installed") for card in store.list()]
    if arguments.all:
        rows += [(model.id, "-", model.task, str(len(model.structures)), _megabytes(model.bytes),
                  model.license.weights or "not stated", _STATES[model.state])
                 for model in list_models(store) if not model.usable]
    print(table(("id", "version", "task", "structures", "MB", "license of the weights", "state"), rows,
                right=(3, 4), shrink=5))
    for folder, problem in store.problems().items():
        warn(f"{folder}: {problem}")


def _search_models(arguments: argparse.Namespace, progress: TerminalProgress) -> None:
    from meddl.models.catalog.catalog import fit, license_badge, search, sort_by_fit
    from meddl.models.catalog.structure_names import structures_named
    from meddl.models.listing import list_models

    words = " ".join(arguments.words)
    found = search(list_models(), words, arguments.structure, arguments.modality)
    metadata = None
    if getattr(arguments, "for") is not None:
        from meddl.recognition.recognize import metadata_with_region

        metadata = metadata_with_region(load_volume(arguments, "for", "for_"))
        found = sort_by_fit(found, metadata)
    progress.clear()
    if not found:
        raise ModelError("No model fits the search. `meddl models list --all` shows all of them.")
    wanted = arguments.structure or words
    rows = []
    for model in found:
        named = structures_named(model.structures, wanted) if wanted.strip() else []
        hit = f"{named[0].name}{f' + {len(named) - 1}' if len(named) > 1 else ''}" if named else ""
        rows.append((model.id, "/".join(model.modality), str(len(model.structures)), hit, _voxels(model.spacing_mm),
                     license_badge(model.license), _STATES[model.state]))
    print(table(("id", "modality", "structures", "found", "voxels", "license", "state"), rows, right=(2,), shrink=3))
    for reason in fit(found[0], metadata).reasons if metadata else ():
        warn(f"{found[0].id}: {reason}")


def _show_model(arguments: argparse.Namespace, _progress: TerminalProgress) -> None:
    from meddl.models.listing import find_model, limits_of
    from meddl.models.store.store import ModelStore

    model = find_model(arguments.identifier)
    terms = model.license
    lines = [
        ("name", model.name), ("state", _STATES[model.state]), ("task", model.task), ("what", model.description),
        ("volumes", f"{'/'.join(model.modality)}{f', {model.region}' if model.region else ''}; "
                    f"inputs: {', '.join(model.inputs)}"),
        ("voxels", _voxels(model.spacing_mm)), ("format", model.format), ("code", terms.code),
        ("weights", terms.weights or "license not stated"), ("terms", terms.url),
        ("size", f"{_megabytes(ModelStore().bytes_of(model.card) if model.card else model.bytes)} MB"),
        *(("limits" if number == 0 else "", limit) for number, limit in enumerate(limits_of(model))),
        ("classes", ", ".join(model.card.classes) if model.card else ""),
        ("obstacle", model.obstacle), ("cite", model.citation), ("source", model.source)]
    lines += [("accuracy", f"{figure.metric} {figure.value:g}, {figure.structure}"
               f"{f' ({figure.note})' if figure.note else ''}, {figure.source}") for figure in model.accuracy]
    measured = model.card.accuracy if model.card else ()
    means = [figure for figure in measured if figure.structure.startswith("mean")] or measured[:_SHOWN_FIGURES]
    lines += [("measured", f"{figure.case}, {figure.structure}: {figure.metric} {figure.value:g}") for figure in means]
    lines += [("file", f"{file.url} ({_checksum(file)})") for file in model.files]
    lines += [("part", part.model) for part in (model.card.parts if model.card else ())]
    lines += [("note", note) for note in (model.card.recipe.notes if model.card and model.card.recipe else ())]
    for label, text in lines:
        if text:
            print(textwrap.fill(str(text), 110, initial_indent=f"{label:<11}", subsequent_indent=" " * 11,
                                break_long_words=False, break_on_hyphens=False))
    if model.structures:
        names = [f"{item.value} {item.name}" if item.value is not None else item.name for item in model.structures]
        print(f"structures ({len(names)})")
        whole = "; ".join(name.replace(" ", _FIXED_SPACE) for name in names)  # no line ends within a name
        print(textwrap.fill(whole, 110, initial_indent="  ", subsequent_indent="  ", break_long_words=False,
                            break_on_hyphens=False).replace(_FIXED_SPACE, " "))


def _install_model(arguments: argparse.Namespace, progress: TerminalProgress) -> None:
    from meddl.models.catalog.catalog import load_catalog
    from meddl.models.listing import find_model
    from meddl.models.store.installation import install_entry
    from meddl.models.store.store import ModelStore

    store = ModelStore()
    entry = next((entry for entry in load_catalog() if entry.id == arguments.source), None)
    if entry is not None and not Path(arguments.source).exists():
        if arguments.sha256:
            raise ModelError("--sha256 is for an address or a file; the catalog holds the checksums of its models.")
        card = install_entry(entry, store, files=arguments.files, accept_changed=arguments.accept_changed,
                             on_progress=progress)
    elif arguments.files:
        raise ModelError(f"The catalog has no model '{arguments.source}', to which --from could belong. "
                         "`meddl models import FILE` installs a model that it does not have.")
    else:
        if not Path(arguments.source).exists() and re.fullmatch(r"[\w-]+", arguments.source):  # an identifier is meant
            raise ModelError(f"'{find_model(arguments.source, store).id}' is installed already.")
        card = store.install(arguments.source, arguments.sha256, on_progress=progress)
    _print_installed(store, card, arguments.accept_license, progress)


def _import_model(arguments: argparse.Namespace, progress: TerminalProgress) -> None:
    from meddl.models.store.installation import import_from_disk
    from meddl.models.store.store import ModelStore

    store = ModelStore()
    card = import_from_disk(arguments.source, store, identifier=arguments.identifier, name=arguments.name,
                            orientation=arguments.orientation, license_text=arguments.license_text,
                            confirmed_sha256=arguments.sha256, configuration=arguments.configuration,
                            checkpoint=arguments.checkpoint, on_progress=progress)
    _print_installed(store, card, arguments.accept_license, progress)


def _export_model(arguments: argparse.Namespace, progress: TerminalProgress) -> None:
    from meddl.models.store.export import export_model

    exported = export_model(arguments.identifier, arguments.output, arguments.format, on_progress=progress)
    progress.clear()
    print(exported.path)
    for note in exported.notes:
        warn(note)


def _shrink_model(arguments: argparse.Namespace, progress: TerminalProgress) -> None:
    from meddl.cli.options import config_from
    from meddl.compression.config import ShrinkConfig
    from meddl.compression.figures import in_words
    from meddl.compression.shrink import shrink_model
    from meddl.models.store.store import ModelStore

    found = shrink_model(arguments.identifier, arguments.volumes, arguments.labels,
                         name=arguments.name, config=config_from(arguments, ShrinkConfig), device=arguments.device,
                         on_progress=progress)
    _print_installed(ModelStore(), found.card, False, progress)
    for text in in_words(found.figures):
        print(f"  {text}")
    for note in found.notes:
        warn(note)


def _merge_models(arguments: argparse.Namespace, progress: TerminalProgress) -> None:
    from meddl.models.catalog.collections import merge_models, read_class_map
    from meddl.models.store.store import ModelStore

    store = ModelStore()
    names = None if arguments.class_map is None else read_class_map(arguments.class_map)
    card = merge_models(arguments.identifier, arguments.parts, names=names, name=arguments.name, store=store)
    _print_installed(store, card, arguments.accept_license, progress)


def _print_installed(store, card, accept_license: bool, progress: TerminalProgress) -> None:
    if accept_license:
        store.accept_license(card.id)
    progress.clear()
    where = f" ({card.license.url})" if card.license.url else ""
    structures = f", {len(card.labels)} structures" if card.labels else ""
    print(f"{card.id} {card.version}: {card.name}{structures}. License of the weights: {card.license.weights}{where}")
    for note in card.recipe.notes if card.recipe else ():
        print(f"  {note}")


def _checksum(file) -> str:
    if file.checksum is None:
        return "no checksum published: it is remembered at the first download"
    return f"{file.checksum.algorithm} {file.checksum.value}"


def _megabytes(count: int | None) -> str:
    return "?" if count is None else f"{count / 1e6:.1f}"


def _voxels(spacing) -> str:
    if spacing is None:
        return "?"
    sizes = [f"{size:.2g}" for size in spacing]
    return f"{sizes[0] if len(set(sizes)) == 1 else ' x '.join(sizes)} mm"


def _verify_models(arguments: argparse.Namespace, _progress: TerminalProgress) -> None:
    from meddl.models.store.store import ModelStore

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
    from meddl.models.store.store import ModelStore

    ModelStore().remove(arguments.identifier)
    print(f"{arguments.identifier}: removed")
