"""What classification gives."""

from dataclasses import dataclass, field

UNKNOWN = "unknown"


@dataclass(frozen=True)
class Classification:
    """The class of a volume.

    Attributes:
        name: of the class; "unknown" where the volume is none of those that the model is for.
        probabilities: by class, together 1, the largest first.
        report: model, seconds {"total"}, device, warnings.
    """

    name: str
    probabilities: dict[str, float]
    report: dict = field(default_factory=dict)

    @property
    def probability(self) -> float:
        """Of the likeliest class."""
        return max(self.probabilities.values())

    def describe(self) -> str:
        """In a few words: "T1 (probability 0.98)"."""
        likeliest, probability = next(iter(self.probabilities.items()))
        if self.name == UNKNOWN:
            return f"{UNKNOWN} (likeliest of its classes: {likeliest}, {probability:.2f})"
        return f"{self.name} (probability {probability:.2f})"
