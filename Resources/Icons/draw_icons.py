"""Draws the extension's and the modules' icons: 128 x 128 PNG with a transparent background.

One family: a brain seen from above, two hemispheres on a dark tile. Segmentation colors its parts,
registration lays one outline over another, super-resolution turns coarse voxels into a smooth half,
and the extension's own icon joins a scan with a network.

    QT_QPA_PLATFORM=offscreen python Resources/Icons/draw_icons.py
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import (
    QColor,
    QGuiApplication,
    QImage,
    QLinearGradient,
    QPainter,
    QPainterPath,
    QPen,
    QPolygonF,
    QTransform,
)

SIZE = 128
_OVERSAMPLING = 4
_ROOT = Path(__file__).resolve().parent.parent.parent

TILE_TOP, TILE_BOTTOM = QColor("#21455c"), QColor("#0f2433")
PALE, GRAY = QColor("#eef4f7"), QColor("#a9bcc8")
CORAL, AMBER, MINT, SKY = (QColor(c) for c in ("#ff6f59", "#ffc145", "#4fd1a5", "#4bb3fd"))
CENTER = QPointF(64, 64)


def tile(painter: QPainter) -> None:
    """The dark rounded square behind every icon."""
    shade = QLinearGradient(0, 4, 0, 124)
    shade.setColorAt(0, TILE_TOP)
    shade.setColorAt(1, TILE_BOTTOM)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(shade)
    painter.drawRoundedRect(QRectF(4, 4, 120, 120), 26, 26)


def brain(width: float = 84, height: float = 98, folds: int = 15, depth: float = 0.045) -> QPainterPath:
    """The scalloped outline of a brain from above, broader at the back, centered on the tile."""
    points = []
    for step in range(361):
        angle = math.radians(step)
        bulge = 1 - depth + depth * abs(math.sin(angle * folds / 2))
        broad = 1 + 0.06 * math.sin(angle)
        points.append(QPointF(CENTER.x() + width / 2 * bulge * broad * math.cos(angle),
                              CENTER.y() + height / 2 * bulge * math.sin(angle)))
    path = QPainterPath()
    path.addPolygon(QPolygonF(points))
    path.closeSubpath()
    return path


def half(path: QPainterPath, side: int, gap: float = 3.0) -> QPainterPath:
    """The part of `path` to the left (side -1) or right (+1) of the midline, `gap` apart from the other."""
    box = QPainterPath()
    box.addRect(QRectF(0, 0, 64 - gap / 2, 128) if side < 0 else QRectF(64 + gap / 2, 0, 64, 128))
    return path.intersected(box)


THREE_FOLDS = ((10, -22, 20, -10, 31, -18), (8, 2, 22, 12, 36, 0), (10, 25, 20, 18, 29, 28))
FIVE_FOLDS = ((8, -32, 16, -26, 23, -33), (8, -16, 19, -6, 31, -16), (8, 2, 22, 12, 36, 1),
              (8, 19, 20, 27, 33, 17), (8, 35, 15, 31, 22, 36))


def sulci(side: int, folds: tuple[tuple[int, ...], ...] = THREE_FOLDS) -> QPainterPath:
    """The folds of the left (side -1) or right (+1) hemisphere: from, over and to offsets from the center."""
    path = QPainterPath()
    for x0, y0, x1, y1, x2, y2 in folds:
        path.moveTo(64 + side * x0, 64 + y0)
        path.quadTo(64 + side * x1, 64 + y1, 64 + side * x2, 64 + y2)
    return path


def fill(painter: QPainter, path: QPainterPath, color: QColor) -> None:
    """Fills `path` with `color`."""
    painter.fillPath(path, color)


def stroke(painter: QPainter, path: QPainterPath, color: QColor, width: float) -> None:
    """Draws the line of `path` with round ends."""
    pen = QPen(color, width, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap, Qt.PenJoinStyle.RoundJoin)
    painter.strokePath(path, pen)


def draw_extension(painter: QPainter) -> None:
    """MedDL: a scan on the left, a network on the right."""
    whole = brain()
    fill(painter, half(whole, -1), PALE)
    stroke(painter, sulci(-1), QColor("#7f98a8"), 4)
    fill(painter, half(whole, 1), QColor("#2e6f95"))
    nodes = [(72.5, 36), (72.5, 64), (72.5, 92), (91, 48), (91, 80)]
    links = QPainterPath()
    for x0, y0 in nodes[:3]:
        for x1, y1 in nodes[3:]:
            if abs(y0 - y1) < 40:
                links.moveTo(x0, y0)
                links.lineTo(x1, y1)
    stroke(painter, links, QColor("#cfe6f5"), 2.6)
    painter.setPen(Qt.PenStyle.NoPen)
    for index, (x, y) in enumerate(nodes):
        painter.setBrush(AMBER if index < 3 else CORAL)
        painter.drawEllipse(QPointF(x, y), 6.2, 6.2)


def draw_segmentation(painter: QPainter) -> None:
    """MedDLSeg: the scan on the left, its parts in colors on the right."""
    whole = brain()
    fill(painter, half(whole, -1), PALE)
    stroke(painter, sulci(-1), QColor("#7f98a8"), 4)
    right = half(whole, 1)
    painter.save()
    painter.setClipPath(right)
    painter.fillRect(QRectF(64, 0, 64, 128), CORAL)
    frontal = QPainterPath(QPointF(64, 52))
    frontal.quadTo(84, 60, 118, 34)
    frontal.lineTo(118, 0)
    frontal.lineTo(64, 0)
    fill(painter, frontal, SKY)
    occipital = QPainterPath(QPointF(64, 82))
    occipital.quadTo(84, 72, 118, 90)
    occipital.lineTo(118, 128)
    occipital.lineTo(64, 128)
    fill(painter, occipital, MINT)
    stroke(painter, frontal, TILE_BOTTOM, 3)
    stroke(painter, occipital, TILE_BOTTOM, 3)
    deep = QPainterPath()
    deep.addEllipse(QPointF(66, 66), 16, 20)
    fill(painter, deep, AMBER)
    stroke(painter, deep, TILE_BOTTOM, 3)
    painter.restore()


def draw_registration(painter: QPainter) -> None:
    """MedDLRegister: a turned outline comes to lie on the fixed one."""
    fixed = QTransform().translate(54, 66).rotate(-6).scale(0.86, 0.9).translate(-64, -64).map(brain())
    moving = QTransform().translate(75, 63).rotate(24).scale(0.86, 0.9).translate(-64, -64).map(brain())
    fill(painter, fixed, SKY)
    painter.setOpacity(0.9)
    fill(painter, moving, CORAL)
    painter.setOpacity(1.0)
    overlap = fixed.intersected(moving)
    fill(painter, overlap, PALE)
    middle = QPointF(62.5, 65)
    for axis in ((15, 0), (0, 15)):
        line = QPainterPath(middle - QPointF(*axis))
        line.lineTo(middle + QPointF(*axis))
        stroke(painter, line, TILE_TOP, 5)
    ring = QPainterPath()
    ring.addEllipse(middle, 9, 9)
    stroke(painter, ring, TILE_TOP, 4.5)


def draw_super_resolution(painter: QPainter) -> None:
    """MedDLSuperRes: coarse voxels on the left, a sharp half on the right."""
    whole = brain()
    edge = 14.0
    grays = (PALE, QColor("#cddae2"), GRAY, QColor("#e2ebf0"))
    left = half(whole, -1, gap=0)
    painter.setPen(Qt.PenStyle.NoPen)
    for row in range(9):
        for column in range(4):
            x, y = 64 - 2 - (column + 1) * edge, 64 - 4.5 * edge + row * edge
            cell = QRectF(x, y, edge, edge)
            if left.contains(cell.center()):
                painter.setBrush(grays[(row * 3 + column * 5) % 4])
                painter.drawRect(cell.adjusted(0.8, 0.8, -0.8, -0.8))
    right = half(whole, 1)
    fill(painter, right, MINT)
    stroke(painter, sulci(1, FIVE_FOLDS), QColor("#12664d"), 3.6)


ICONS: dict[str, Callable[[QPainter], None]] = {
    "Resources/Icons/MedDL.png": draw_extension,
    "MedDLSeg/Resources/Icons/MedDLSeg.png": draw_segmentation,
    "MedDLRegister/Resources/Icons/MedDLRegister.png": draw_registration,
    "MedDLSuperRes/Resources/Icons/MedDLSuperRes.png": draw_super_resolution,
}


def render(draw: Callable[[QPainter], None]) -> QImage:
    """The icon that `draw` paints over the tile, SIZE x SIZE, drawn larger and reduced for clean edges."""
    side = SIZE * _OVERSAMPLING
    image = QImage(side, side, QImage.Format.Format_ARGB32_Premultiplied)
    image.fill(Qt.GlobalColor.transparent)
    painter = QPainter(image)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.scale(_OVERSAMPLING, _OVERSAMPLING)
    tile(painter)
    draw(painter)
    painter.end()
    smooth = Qt.TransformationMode.SmoothTransformation
    return image.scaled(SIZE, SIZE, Qt.AspectRatioMode.IgnoreAspectRatio, smooth)


def main() -> None:
    """Writes every icon to its place."""
    application = QGuiApplication.instance() or QGuiApplication([])
    for name, draw in ICONS.items():
        path = _ROOT / name
        path.parent.mkdir(parents=True, exist_ok=True)
        render(draw).convertToFormat(QImage.Format.Format_ARGB32).save(str(path))
        print(name)
    del application


if __name__ == "__main__":
    main()
