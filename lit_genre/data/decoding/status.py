"""How much of a file was decoded."""

from dataclasses import dataclass
from typing import Final, Literal

TOLERANCE_SECONDS: Final = 0.05
"""Two frames of MP3: encoders and containers disagree by so much about where sound begins and ends."""

StatusKind = Literal["complete", "recovered", "truncated"]


@dataclass(frozen=True)
class TrackStatus:
    """How much of a file was decoded.

    Attributes:
        kind: "complete"; "recovered" where parts inside the file are missing; "truncated" where its end is.
        seconds_lost: Length of what is missing, s, as far as the file tells; 0 if complete.
    """

    kind: StatusKind = "complete"
    seconds_lost: float = 0.0

    def describe(self, seconds: float) -> str:
        """Return a note for people, "" if complete.

        Args:
            seconds: Length of what was decoded, s.
        """
        if self.kind == "complete":
            return ""
        where = "its end is missing" if self.kind == "truncated" else "it is damaged"
        return (
            f"{self.kind}: {where}, {self.seconds_lost:.1f} of {seconds + self.seconds_lost:.1f} s could not be decoded"
        )


COMPLETE: Final = TrackStatus()


def judge(missing_seconds: float, gap_seconds: float, silenced_seconds: float = 0.0) -> TrackStatus:
    """Judge a decoded file.

    Args:
        missing_seconds: What it is shorter than it should be.
        gap_seconds: What is damaged inside of it, whether or not it is shorter for that.
        silenced_seconds: What was replaced by silence.
    """
    lost = max(missing_seconds, gap_seconds) + silenced_seconds
    if lost <= TOLERANCE_SECONDS:
        return COMPLETE
    is_cut = missing_seconds - gap_seconds > TOLERANCE_SECONDS
    return TrackStatus("truncated" if is_cut else "recovered", round(lost, 3))
