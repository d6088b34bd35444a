"""A list of models in a panel: those of this machine and of the catalog, searched, sorted by fit to a volume."""

import qt
from slicer.i18n import tr as _

from meddl.models.catalog.catalog import VolumeMetadata, fit, license_badge, search
from meddl.models.listing import AVAILABLE, INSTALLED, SHIPS, UNAVAILABLE, ListedModel, limits_of
from meddl_slicer.panels.models import choices

_FAVORITE, _NAME, _FIT, _STATE = _COLUMNS = range(4)
_SIGNS = {SHIPS: "", INSTALLED: "", AVAILABLE: "↓", UNAVAILABLE: "–"}
_STARS = {True: "★", False: "☆"}
_FITS, _FITS_PARTLY, _FITS_NOT = "●", "◐", "○"
_MISFIT = 50  # penalty of a model for another modality, or for other inputs
_TIP_LIMITS = 3
_ALL_SHOWN = 12  # structures that a tooltip names before it says how many there are


class ModelList:
    """Shows models in a QTreeWidget under a search box: star of a favorite, name, fit to the volume, where it is.

    Args:
        tree: the list; searchBox: a line edit.
        onChosen: called with an identifier when the user has chosen a model.

    Attributes:
        metadata: of the volume that the models are sorted by; None: of none.
    """

    def __init__(self, tree, searchBox, onChosen):
        self._tree, self._searchBox, self._onChosen = tree, searchBox, onChosen
        self._models, self.metadata = [], None
        self._items = {}
        self._chosen = ""
        self._filling = False
        self._color = None  # of what is not installed, as the list was filled; None: not yet filled
        tree.setColumnCount(len(_COLUMNS))
        tree.setHeaderLabels(["", _("Model"), _("Fit"), ""])
        tree.header().setStretchLastSection(False)
        for column in _COLUMNS:
            tree.header().setSectionResizeMode(column, qt.QHeaderView.Stretch if column == _NAME else
                                               qt.QHeaderView.ResizeToContents)
        searchBox.connect("textChanged(QString)", lambda text: self._fill())
        tree.connect("itemSelectionChanged()", self._onSelection)
        tree.connect("itemClicked(QTreeWidgetItem*,int)", self.onClicked)

    @property
    def identifiers(self) -> list[str]:
        """The models that the list shows, from top to bottom."""
        return list(self._items)

    def setModels(self, models: list[ListedModel]) -> None:
        """Show these models; the first ones wait for `setVolume`, to be sorted once."""
        self._models = models
        if self._color is not None:
            self._fill()

    def setVolume(self, metadata: VolumeMetadata | None) -> None:
        """Sort by fit to this volume."""
        if metadata != self.metadata or self._color is None:
            self.metadata = metadata
            self._fill()

    def recolor(self) -> None:
        """Take the colors of the present theme."""
        if self._color not in (None, _faint()):
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

    def onClicked(self, item, column: int) -> None:
        """The user has clicked a cell: a star marks a favorite, or takes the mark away."""
        if column == _FAVORITE:
            choices.toggle_favorite(item.data(_NAME, qt.Qt.UserRole))
            self._fill()

    def _fill(self) -> None:
        self._filling = True
        try:
            self._tree.clear()
            self._items, self._color, marked = {}, _faint(), choices.favorites()
            for model in self._sort(search(self._models, self._searchBox.text)):
                item = qt.QTreeWidgetItem()
                tip, texts = details(model, self.metadata, _TIP_LIMITS), {
                    _FAVORITE: _STARS[model.entry.id in marked], _NAME: model.entry.name,
                    _FIT: fit_sign(model, self.metadata), _STATE: _SIGNS[model.state]}
                for column, text in texts.items():
                    item.setText(column, text)
                    item.setToolTip(column, tip)
                    if column != _NAME:
                        item.setTextAlignment(column, qt.Qt.AlignCenter)
                    if not model.usable:
                        item.setForeground(column, qt.QBrush(self._color))
                item.setData(_NAME, qt.Qt.UserRole, model.entry.id)
                item.setToolTip(_FAVORITE, _("Favorites are listed first: click to mark the model, or not"))
                item.setSizeHint(_NAME, qt.QSize(0, self._tree.fontMetrics().height() + 5))
                self._tree.addTopLevelItem(item)
                self._items[model.entry.id] = item
            self._mark()
        finally:
            self._filling = False

    def _sort(self, models: list) -> list:
        """Those that can run first; in each half favorites, then the best fit first."""
        marked = choices.favorites()

        def place(model):
            penalty = 0.0 if self.metadata is None else round(fit(model, self.metadata).penalty, 1)
            return (not model.usable, model.entry.id not in marked, model.state == UNAVAILABLE, penalty,
                    -len(model.entry.structures))
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


def _faint():
    """The color of what is not installed, under any theme."""
    color = qt.QColor(qt.QPalette().color(qt.QPalette.Active, qt.QPalette.Text))
    color.setAlpha(150)
    return color


def summary(model: ListedModel) -> str:
    """A model in one line: how many structures, of which volumes, on which voxels, and its license in a word."""
    entry = model.entry
    count = len(entry.structures)
    parts = [_("1 structure") if count == 1 else _("{count} structures").format(count=count), "/".join(entry.modality)]
    if len(entry.inputs) > 1:
        parts.append(_("{count} volumes").format(count=len(entry.inputs)))
    if entry.spacing_mm is not None:
        sizes = [f"{size:.2g}" for size in entry.spacing_mm]
        parts.append(f"{sizes[0] if len(set(sizes)) == 1 else ' x '.join(sizes)} mm")
    parts.append(license_badge(entry.license))
    if model.state == AVAILABLE and entry.bytes:
        parts.append(f"{entry.bytes / 1e6:.0f} MB")
    return " · ".join(parts)


def fit_sign(model: ListedModel, metadata: VolumeMetadata | None) -> str:
    """How well a model suits a volume, in a sign; empty without a volume."""
    if metadata is None:
        return ""
    found = fit(model, metadata)
    return _FITS_NOT if found.penalty >= _MISFIT else _FITS_PARTLY if found.reasons else _FITS


def summary_with_link(model: ListedModel) -> str:
    """The summary with a link to the details, as rich text."""
    return _("{summary} · <a href='details'>Details</a>").format(summary=summary(model))


def insert_details_browser(layout: qt.QFormLayout, row: int) -> qt.QTextBrowser:
    """A hidden browser of `details`, inserted as a row."""
    browser = qt.QTextBrowser()
    browser.objectName, browser.visible = "modelDetailsBrowser", False
    browser.minimumHeight = browser.maximumHeight = 200
    layout.insertRow(row, browser)
    return browser


def details(model: ListedModel, metadata: VolumeMetadata | None, most_limits: int | None = None) -> str:
    """What the user may want to know of a model, its limits as a list, as rich text.

    Args:
        most_limits: more of them are left out; None: none is.
    """
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
    limits = limits_of(model)
    if limits:
        left = [] if most_limits is None or len(limits) <= most_limits else [_("more under Details")]
        lines.append(_("Limits:") + "".join(f"<br>\u2022 {_escape(one)}" for one in [*limits[:most_limits], *left]))
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
