"""A list of models in a panel: those of this machine and of the catalog, searched, sorted by fit to a volume."""

import qt
from slicer.i18n import tr as _

from meddl.models.catalog.catalog import VolumeMetadata, fit, license_badge, search
from meddl.models.listing import AVAILABLE, INSTALLED, SHIPS, UNAVAILABLE, ListedModel

_NAME, _LICENSE, _STATE = range(3)
_SIGNS = {SHIPS: "✓", INSTALLED: "✓", AVAILABLE: "↓", UNAVAILABLE: "–"}
_ALL_SHOWN = 12  # structures that a tooltip names before it says how many there are


class ModelList:
    """Shows models in a QTreeWidget with three columns under a search box.

    Args:
        tree: the list; searchBox: a line edit.
        onChosen: called with an identifier when the user has chosen a model.
    """

    def __init__(self, tree, searchBox, onChosen):
        self._tree, self._searchBox, self._onChosen = tree, searchBox, onChosen
        self._models, self._metadata = [], None
        self._items = {}
        self._chosen = ""
        self._filling = False
        tree.setHeaderLabels([_("Model"), _("License"), ""])
        tree.header().setStretchLastSection(False)
        tree.header().setSectionResizeMode(_NAME, qt.QHeaderView.Stretch)
        for column in (_LICENSE, _STATE):
            tree.header().setSectionResizeMode(column, qt.QHeaderView.ResizeToContents)
        searchBox.connect("textChanged(QString)", lambda text: self._fill())
        tree.connect("itemSelectionChanged()", self._onSelection)

    @property
    def identifiers(self) -> list[str]:
        """The models that the list shows, from top to bottom."""
        return list(self._items)

    def setModels(self, models: list[ListedModel]) -> None:
        """Show these models."""
        self._models = models
        self._fill()

    def setVolume(self, metadata: VolumeMetadata | None) -> None:
        """Sort by fit to this volume."""
        if metadata != self._metadata:
            self._metadata = metadata
            self._fill()

    def recolor(self) -> None:
        """Take the colors of the present theme."""
        self._fill()

    def find(self, identifier: str) -> ListedModel | None:
        """The model of this identifier, shown or not."""
        return next((model for model in self._models if model.entry.id == identifier), None)

    def choose(self, identifier: str) -> None:
        """Mark a model as the chosen one, without telling `onChosen`."""
        self._chosen = identifier
        self._filling = True
        try:
            self._mark()
        finally:
            self._filling = False

    def _fill(self) -> None:
        self._filling = True
        try:
            self._tree.clear()
            self._items = {}
            for model in self._sort(search(self._models, self._searchBox.text)):
                item = qt.QTreeWidgetItem()
                item.setText(_NAME, model.entry.name)
                item.setText(_LICENSE, license_badge(model.entry.license))
                item.setText(_STATE, _SIGNS[model.state])
                item.setTextAlignment(_STATE, qt.Qt.AlignCenter)
                tip = tooltip(model, self._metadata)
                for column in (_NAME, _LICENSE, _STATE):
                    item.setToolTip(column, tip)
                if not model.usable:
                    for column in (_NAME, _LICENSE, _STATE):
                        item.setForeground(column, qt.QBrush(self._faint()))
                item.setSizeHint(_NAME, qt.QSize(0, self._tree.fontMetrics().height() + 5))
                self._tree.addTopLevelItem(item)
                self._items[model.entry.id] = item
            self._mark()
        finally:
            self._filling = False

    def _faint(self):
        """The color of what is not installed, under any theme."""
        color = qt.QColor(qt.QPalette().color(qt.QPalette.Active, qt.QPalette.Text))
        color.setAlpha(150)
        return color

    def _sort(self, models: list) -> list:
        """Those that can run first; in each half the best fit first."""
        def place(model):
            penalty = 0.0 if self._metadata is None else round(fit(model, self._metadata).penalty, 1)
            return (not model.usable, model.state == UNAVAILABLE, penalty, -len(model.entry.structures))
        return sorted(models, key=place)

    def _mark(self) -> None:
        item = self._items.get(self._chosen)
        if item is None:
            self._tree.clearSelection()
        else:
            self._tree.setCurrentItem(item)
            self._tree.scrollToItem(item)

    def _onSelection(self) -> None:
        if self._filling:
            return
        for identifier, item in self._items.items():
            if item.isSelected():
                if identifier != self._chosen:
                    self._chosen = identifier
                    self._onChosen(identifier)
                return


def summary(model: ListedModel) -> str:
    """A model in one line: how many structures, of which volumes, on which voxels."""
    entry = model.entry
    count = len(entry.structures)
    parts = [_("1 structure") if count == 1 else _("{count} structures").format(count=count), "/".join(entry.modality)]
    if len(entry.inputs) > 1:
        parts.append(_("{count} volumes").format(count=len(entry.inputs)))
    if entry.spacing_mm is not None:
        sizes = [f"{size:.2g}" for size in entry.spacing_mm]
        parts.append(f"{sizes[0] if len(set(sizes)) == 1 else ' x '.join(sizes)} mm")
    if model.state == AVAILABLE and entry.bytes:
        parts.append(f"{entry.bytes / 1e6:.0f} MB")
    return " · ".join(parts)


def tooltip(model: ListedModel, metadata: VolumeMetadata | None) -> str:
    """Model card summary for the user, as rich text."""
    entry = model.entry
    names = [structure.name for structure in entry.structures]
    shown = ", ".join(names[:_ALL_SHOWN])
    if len(names) > _ALL_SHOWN:
        shown += _(" and {count} more").format(count=len(names) - _ALL_SHOWN)
    lines = [f"<b>{_escape(entry.name)}</b>", _escape(entry.description),
             _escape(f"{summary(model)} · {_state_text(model.state)}"),
             _("Structures: {names}").format(names=_escape(shown)),
             _("License of the weights: {license}").format(license=_escape(entry.license.weights or _("not stated")))]
    lines += [_("Published {metric}, {structure}: {value:g}").format(
        metric=figure.metric.capitalize(), structure=_escape(figure.structure), value=figure.value)
        for figure in entry.accuracy]
    if entry.limits:
        lines.append(_escape(entry.limits[:300]))
    if entry.obstacle:
        lines.append(f"<i>{_escape(entry.obstacle)}</i>")
    if metadata is not None:
        lines += [f"<i>{_escape(reason)}</i>" for reason in fit(model, metadata).reasons]
    return "<p style='white-space:normal'>" + "<br>".join(lines) + "</p>"


def _state_text(state: str) -> str:
    return {SHIPS: _("built in"), INSTALLED: _("installed"), AVAILABLE: _("not installed"),
            UNAVAILABLE: _("cannot be installed from here")}[state]


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
