"""Letters, captions and legends in pictures, which are arrays (height, width, 3) uint8.

The font is "9x15" of the X Window System's misc-fixed fonts, which are in the public domain.
"""

import base64
import functools
import textwrap
import unicodedata
import zlib
from collections.abc import Iterable

import numpy as np

WIDTH, HEIGHT = 9, 15  # of a letter, in pixels
_LETTERS = "".join(map(chr, range(32, 127))) + "°±²³µ·×äöüßéèÄÖÜ"
_BITMAPS = (  # a bit for each pixel, row by row, compressed
    "c-n1MPfrs;6rb50=qxmJx_YPyq0_R7e=gz|fZehQt;QG*9yRa{JQ*|%E=v<P#)O8GM<m8i;ejX;&VGVQJb0{x115y{-puTD3(jrc"
    "zIpHW`@KI)$koG{LrD@!LYSj1zQ>YrpTMv8(&b^lZSJz$38vg+uM>1R-l^CA6fnnWt=?64;yRJ+FVuFk-p5QCFhwz<<4~1VaLA5d"
    "1Y}ot25~g7;N5n*-<E|}0JSs(r>h(mYWX8L^#gMK9IP4SQV790WYPB$i-B$$$!uG5W|I?4<1ld+Wk1wsNqbyUI0xX6E*b^PQy$M&"
    "hG5d<|B~eS0tE5-xhDUUqNU#sszYU{3=jk|r4~k2yog6I>Y^R^wKGtuVmZ(R5tS#c!KLV2E2EYG0}lf=1sm}O%%x$jIY}hQjmKm?"
    "^Z^9Jy6dc!Ebw2&pC3z6(&X8M(&rMYsms@Gi1y0YDob02d^bX^fQM0o4twAX;5|bg)d&}r&xOu<3TkxKD+>cGEAVQ5pbW^}yGSvP"
    "u72Gy&B7`M=$5&+=5&m-)%0g3oJjN{+iwQgr6%vOqo?<FI}lmR!+fu|-)Z)b1E1$GR3}&%bx^}QS8>RwDB!ai>?Fwo7&gKA_6a7H"
    "Nv=k}MAp2#H|T}P=S$=;Qmv1X2Vk(cS)FjU!qBumSODkl!+mMgXv#e)ZdQd+L-yk+3=0CjA&EYwMK|OqYelOON;POOZmK2+1&<9C"
    "BiYMR^8Zspr0_7g_Qf4=wiz{cG;)YFeT4d~-?tvnQKR0#`JF?-z4B}80rU0bmqWA~WRS&DEGlT$<E+<eRJeQMu`Z|qxc~GDy-@}j"
    "W4!_MK{daI$d;jx@oW40HeGuknIx8c*Cu%xpyr*?=zLk%WwM6zVsBt66^sv$4)Y;)f82uNf*N_lc;Bi#DXuF}gAVQ9AW|$T9PzC6"
    "XaVN9DbB1RjjBA&djm_!(n4<_44&QLQ#`W<)~xbgYknq)8w0a#Bp%%xv%sCg;($fS-9%T-wgSQ~p+!u(Y8|TpuHUJRm7Q+Eav$5~"
    "lx&~l^L+Q#eCj%MP}tA`qik!ugY+~VJsSz67utw>bINhjrYQlGlXNNBISwBD)<j!!yeRPBa*%sNyxmiV8MrKmeVDIl{Q}lLj`>9r"
    ")^*oQjzzfvJ4zLWij2&{pxr)&HnvHN0}Dy18DYK5{{gg9{E`")
_GAP = 6
_INK, _PAPER = (235, 235, 235), (0, 0, 0)

Color = tuple[int, int, int]


def draw_text(text: str, color: Color = _INK, paper: Color = _PAPER) -> np.ndarray:
    """One line of text, HEIGHT pixels high. Letters that the font lacks lose their accents or become "?"."""
    if not text:
        return np.full((HEIGHT, 0, 3), paper, np.uint8)
    ink = np.concatenate([_font()[_index(letter)] for letter in text], axis=1)
    return np.where(ink[..., None], np.array(color, np.uint8), np.array(paper, np.uint8))


def put_text(picture: np.ndarray, row: int, column: int, text: str, color: Color = _INK) -> None:
    """Write text into a picture, with a dark rim that keeps it readable; what lies outside is left out."""
    if not text:
        return
    ink = np.concatenate([_font()[_index(letter)] for letter in text], axis=1)
    rim = np.zeros((ink.shape[0] + 2, ink.shape[1] + 2), bool)
    for down in range(3):
        for right in range(3):
            rim[down:down + ink.shape[0], right:right + ink.shape[1]] |= ink
    for mask, shade, shift in ((rim, _PAPER, -1), (ink, color, 0)):
        rows, columns = np.nonzero(mask)
        rows, columns = rows + row + shift, columns + column + shift
        inside = (rows >= 0) & (rows < picture.shape[0]) & (columns >= 0) & (columns < picture.shape[1])
        picture[rows[inside], columns[inside]] = shade


def text_block(text: str, width: int, color: Color = _INK) -> np.ndarray:
    """Text wrapped to a width in pixels."""
    lines = textwrap.wrap(text, max(8, (width - 2 * _GAP) // WIDTH)) or [""]
    block = np.full((len(lines) * (HEIGHT + 2) + _GAP, width, 3), _PAPER, np.uint8)
    for number, line in enumerate(lines):
        put_text(block, _GAP // 2 + number * (HEIGHT + 2), _GAP, line, color)
    return block


def caption(picture: np.ndarray, text: str) -> np.ndarray:
    """A picture with a caption above it."""
    return np.concatenate([text_block(text, picture.shape[1]), picture])


def legend(entries: Iterable[tuple[str, Color]], width: int) -> np.ndarray:
    """Names with a swatch of their colors, in columns of equal width."""
    listed = list(entries)
    longest = max((len(name) for name, _ in listed), default=0)
    cell = min(width, (longest + 4) * WIDTH)
    columns = max(1, width // max(cell, 1))
    rows = -(-len(listed) // columns)
    block = np.full((rows * (HEIGHT + 4) + _GAP, width, 3), _PAPER, np.uint8)
    for number, (name, color) in enumerate(listed):
        top = (number % rows) * (HEIGHT + 4) + _GAP // 2
        left = (number // rows) * cell + _GAP
        block[top + 2:top + HEIGHT - 1, left:left + 2 * WIDTH - 4] = color
        put_text(block, top, left + 2 * WIDTH, name)
    return block


def _index(letter: str) -> int:
    """The place of a letter in the font."""
    found = _LETTERS.find(letter)
    if found < 0:
        found = _LETTERS.find(unicodedata.normalize("NFKD", letter)[:1])
    return found if found >= 0 else _LETTERS.index("?")


@functools.cache
def _font() -> np.ndarray:
    """(letters, HEIGHT, WIDTH) bool."""
    bits = np.unpackbits(np.frombuffer(zlib.decompress(base64.b85decode(_BITMAPS)), np.uint8))
    return bits[:len(_LETTERS) * HEIGHT * WIDTH].reshape(len(_LETTERS), HEIGHT, WIDTH).astype(bool)
