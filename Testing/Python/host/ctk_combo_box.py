"""CTK's combo box over Qt."""

from PySide6 import QtCore, QtWidgets

from .ctk_classes import ctk_widget

Property = QtCore.Property


@ctk_widget
class ctkComboBox(QtWidgets.QComboBox):
    """A combo box that shows a default text while nothing is chosen, and shortens what does not fit as its
    `elideMode` says."""

    def __init__(self, parent=None):
        super().__init__(parent)
        self._elide_mode = QtCore.Qt.ElideNone

    elideMode = Property(QtCore.Qt.TextElideMode, lambda self: self._elide_mode,
                         lambda self, mode: setattr(self, "_elide_mode", mode))

    def paintEvent(self, event):
        option = QtWidgets.QStyleOptionComboBox()
        self.initStyleOption(option)
        field = self.style().subControlRect(QtWidgets.QStyle.CC_ComboBox, option,
                                            QtWidgets.QStyle.SC_ComboBoxEditField, self)
        text = option.currentText or self.placeholderText
        option.currentText = option.fontMetrics.elidedText(text, self._elide_mode, field.width())
        painter = QtWidgets.QStylePainter(self)
        painter.drawComplexControl(QtWidgets.QStyle.CC_ComboBox, option)
        painter.drawControl(QtWidgets.QStyle.CE_ComboBoxLabel, option)

    defaultText = Property(str, lambda self: self.placeholderText, lambda self, text: self.setPlaceholderText(text))

    def setDefaultText(self, text):
        self.setPlaceholderText(text)
