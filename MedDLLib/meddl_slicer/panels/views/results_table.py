"""The figures of a result in a panel: one number format a column, doubtful rows colored, copied by Ctrl+C or menu."""

import math

import qt
import slicer
from slicer.i18n import tr as _

from meddl_slicer.mrml.tables import ASYMMETRY, CONFIDENCE, ERROR, STRUCTURE, USUAL, WARNINGS, doubtful_structures
from meddl_slicer.panels.banner import WARNING
from meddl_slicer.panels.views.fitted import fit_table


class ResultsTable:
    """Shows a table node in a QTableWidget.

    Args:
        table: the QTableWidget.
    """

    def __init__(self, table):
        self._table = table
        fit_table(table)
        table.setEditTriggers(qt.QAbstractItemView.NoEditTriggers)
        table.setSelectionBehavior(qt.QAbstractItemView.SelectRows)
        table.wordWrap = True
        table.verticalHeader().visible = False
        table.verticalHeader().setSectionResizeMode(qt.QHeaderView.ResizeToContents)
        copy = qt.QAction(_("Copy table"), table)
        copy.setShortcut(qt.QKeySequence("Ctrl+C"))
        copy.setShortcutContext(qt.Qt.WidgetShortcut)
        copy.connect("triggered()", self.copy)
        table.addAction(copy)
        table.setContextMenuPolicy(qt.Qt.ActionsContextMenu)

    def show(self, tableNode, report: dict | None = None, names=None) -> None:
        """Fill the table.

        Args:
            tableNode: a vtkMRMLTableNode; floating point numbers are shown with two decimals (small ones with two
                digits), and what is no number as an empty cell; the usual confidence stands in brackets behind the
                confidence, the asymmetry of two sides in the rows' tips.
            report: of the run: rows of structures that were found with less confidence than is usual are colored, as
                rows of cases are that failed or have a warning; the first column takes what room the others leave.
            names: of the columns to show; default: all.
        """
        content = tableNode.GetTable()
        columns = [content.GetColumn(number) for number in range(content.GetNumberOfColumns())]
        usual = content.GetColumnByName(USUAL)
        asymmetry = content.GetColumnByName(ASYMMETRY)  # in the tips: the names need the room
        columns = [column for column in columns if column not in (usual, asymmetry)
                   and (names is None or column.GetName() in names)]
        self._table.clear()
        self._table.setColumnCount(len(columns))
        self._table.setRowCount(content.GetNumberOfRows())
        self._table.setHorizontalHeaderLabels([_header(tableNode, column, usual) for column in columns])
        doubtful = _doubtful_rows(content, report or {})
        letters, background, _border = WARNING
        for row in range(content.GetNumberOfRows()):
            tip, sides = doubtful.get(row), _asymmetry_text(asymmetry, row)
            for number, column in enumerate(columns):
                item = _item(column, row, usual)
                said = tip or tableNode.GetColumnDescription(column.GetName())
                item.setToolTip(" ".join(filter(None, (said, sides))))
                if tip:
                    item.setBackground(qt.QBrush(qt.QColor(background)))
                    item.setForeground(qt.QBrush(qt.QColor(letters)))
                self._table.setItem(row, number, item)
        header = self._table.horizontalHeader()
        header.setSectionResizeMode(qt.QHeaderView.ResizeToContents)
        if report is not None and columns:  # the names take what room the figures leave, in several lines
            header.setSectionResizeMode(0, qt.QHeaderView.Stretch)

    def clear(self) -> None:
        """Show nothing."""
        self._table.clear()
        self._table.setRowCount(0)
        self._table.setColumnCount(0)

    def copy(self) -> None:
        """Put the table into the clipboard, columns with tabs between them."""
        table = self._table
        columns = range(table.columnCount)
        lines = [[table.horizontalHeaderItem(column).text().replace("\n", " ") for column in columns]]
        lines += [[table.item(row, column).text() for column in columns] for row in range(table.rowCount)]
        slicer.app.clipboard().setText("\n".join("\t".join(line) for line in lines))


def _doubtful_rows(content, report: dict) -> dict[int, str]:
    """Why to look at a row, by its number: of a structure's confidence, or what a case's error or warnings say."""
    structures = doubtful_structures(report)
    found = {}
    for row in range(content.GetNumberOfRows()):
        said = [structures.get(content.GetValueByName(row, STRUCTURE).ToString(), "")] if structures else []
        said += [content.GetColumnByName(name).GetValue(row) for name in (ERROR, WARNINGS)
                 if content.GetColumnByName(name) is not None and content.GetColumnByName(name).IsA("vtkStringArray")]
        if any(said):
            found[row] = " ".join(filter(None, said))
    return found


def _asymmetry_text(column, row: int) -> str:
    value = math.nan if column is None else column.GetValue(row)
    return "" if math.isnan(value) else _("Left minus right: {percent:+.1f} % of their mean.").format(percent=value)


def _header(tableNode, column, usual) -> str:
    name, unit = column.GetName(), tableNode.GetColumnUnitLabel(column.GetName())
    title = tableNode.GetColumnTitle(name) or name
    if name == CONFIDENCE and usual is not None:
        return f"{title}\n({_('usual')})"
    return f"{title}\n[{unit}]" if unit else title


def _item(column, row: int, usual):
    number, name = column.IsA("vtkDoubleArray"), column.GetName()
    value = column.GetValue(row)
    if number:
        value = "" if math.isnan(value) else f"{value:.2g}" if 0.001 <= abs(value) < 0.1 else f"{value:.2f}"
    elif name == CONFIDENCE and usual is not None and usual.GetValue(row):
        value = f"{value} ({usual.GetValue(row)})"
    item = qt.QTableWidgetItem(value)
    if number or name == CONFIDENCE or _is_figure(value):
        item.setTextAlignment(qt.Qt.AlignRight | qt.Qt.AlignVCenter)
    return item


def _is_figure(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
