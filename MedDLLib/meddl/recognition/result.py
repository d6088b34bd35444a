"""What is said of a volume."""

from dataclasses import dataclass

UNKNOWN = "unknown"


@dataclass(frozen=True)
class Recognition:
    """What a volume shows. What is not sure is "unknown", or None.

    Attributes:
        region: "head", "chest" (CT with lungs), "no head", or "unknown".
        contrast: "T1", "T2", "FLAIR", "PD" or "CT", or "unknown".
        stripped: of a head, whether its skull is stripped; None: unknown, or no head.
        axes: of a head, "upright" or how it lies under its header, such as "upside down"; or "unknown".
            Left and right look alike: a mirrored head is not found.
        turn: row of `meddl.recognition.orientations.TURNS` of the axes; None: unknown.
        confidence: probability, 0 to 1, of the likeliest answer to each question that the classifier was asked.
    """

    region: str = UNKNOWN
    contrast: str = UNKNOWN
    stripped: bool | None = None
    axes: str = UNKNOWN
    turn: int | None = None
    confidence: dict[str, float] | None = None

    @property
    def is_turned(self) -> bool:
        """Whether the axes surely do not fit the anatomy."""
        return self.turn is not None and self.turn != 0

    @property
    def known_region(self) -> str | None:
        """The region, None where it is unknown: as `VolumeMetadata.region`."""
        return None if self.region == UNKNOWN else self.region

    def describe(self) -> str:
        """In a few words: "head, T1, stripped"; "unknown" where nothing is known."""
        words = [word for word in (self.region, self.contrast) if word != UNKNOWN]
        if self.stripped is not None:
            words.append("skull stripped" if self.stripped else "whole head")
        if self.is_turned:
            words.append(f"lies {self.axes}")
        return ", ".join(words) or UNKNOWN

    def warnings(self) -> tuple[str, ...]:
        """What speaks against its header, in sentences; empty where nothing does."""
        if not self.is_turned:
            return ()
        return (f"The head seems to lie {self.axes}: the axes in the header do not fit the anatomy. Check the "
                "orientation in the file's header.",)
