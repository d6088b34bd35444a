"""What a file's header says of its volume beyond voxels and grid, and what of it holds for a result."""

from __future__ import annotations

from dataclasses import dataclass, replace

SCANNER, ALIGNED = 1, 2  # NIfTI's codes: coordinates of the scanner; coordinates aligned to those of another file
_OF_TEMPLATE = 3         # and above: coordinates of a template (Talairach, MNI 152, another one)


@dataclass(frozen=True)
class VolumeHeader:
    """What a header says of the volume: NIfTI's words for it, and those of other formats where they have some.

    Attributes:
        description: free text; `descrip` of NIfTI (79 letters), `content` of NRRD, `Comment` of MetaImage.
        display_range: lowest and highest intensity to show, `cal_min` and `cal_max` of NIfTI; None: not stated.
        space: the codes of qform and sform of NIfTI, which say what the world is: 0 not stated, 1 the scanner's
            coordinates, 2 aligned to another file, 3 Talairach, 4 MNI 152, 5 another template; None of other formats.
    """

    description: str = ""
    display_range: tuple[float, float] | None = None
    space: tuple[int, int] | None = None

    def of_other_values(self) -> VolumeHeader:
        """Of a result in the same space whose values are others: labels, or intensities on another scale."""
        return VolumeHeader(space=self.space)

    def in_space_of(self, fixed: VolumeHeader) -> VolumeHeader:
        """Of this volume warped into the space of another file.

        It is in that file's template space, where that is one; else it is aligned to that file, also where that is in
        its scanner's coordinates, in which this volume was not acquired.
        """
        codes = fixed.space or (ALIGNED, ALIGNED)
        return replace(self, space=(_align_code(codes[0]), _align_code(codes[1])) if any(codes) else (ALIGNED, ALIGNED))


def _align_code(code: int) -> int:
    return code if code == 0 or code >= _OF_TEMPLATE else ALIGNED
