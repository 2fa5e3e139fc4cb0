"""Describe which part of a file could not be decoded."""

from dataclasses import dataclass
from typing import Final, Literal

TOLERANCE_SECONDS: Final = 0.05
"""Two frames of MP3. Encoders and containers disagree by up to this much about where the audio begins and ends, s."""

StatusKind = Literal["complete", "recovered", "truncated"]


@dataclass(frozen=True)
class TrackStatus:
    """Result of decoding a file: complete, or with missing parts.

    Attributes:
        kind: "complete", "recovered" (parts inside the file are missing), or "truncated" (its end is missing).
        seconds_lost: Length of the missing parts, s, if the file declares it; 0 if complete.
    """

    kind: StatusKind = "complete"
    seconds_lost: float = 0.0

    def describe(self, seconds: float) -> str:
        """Return a message for the user.

        Args:
            seconds: Length of the decoded audio, s.

        Returns:
            The message; "" if the file is complete.
        """
        if self.kind == "complete":
            return ""
        where = "its end is missing" if self.kind == "truncated" else "it is damaged"
        return (
            f"{self.kind}: {where}, {self.seconds_lost:.1f} of {seconds + self.seconds_lost:.1f} s could not be decoded"
        )


COMPLETE: Final = TrackStatus()


def judge(missing_seconds: float, gap_seconds: float, silenced_seconds: float = 0.0) -> TrackStatus:
    """Compute the status of a decoded file.

    Args:
        missing_seconds: Declared length minus decoded length, s; it may be negative.
        gap_seconds: Length of the damaged parts inside the file, s, even if the decoder filled them.
        silenced_seconds: Length of the samples that were replaced by silence, s.

    Returns:
        The status; "complete" if at most `TOLERANCE_SECONDS` are missing.
    """
    # A gap usually shortens the file by its own length, so the two are not added.
    lost = max(missing_seconds, gap_seconds) + silenced_seconds
    if lost <= TOLERANCE_SECONDS:
        return COMPLETE
    # If the gaps do not explain the missing length, the end of the file is missing.
    is_cut = missing_seconds - gap_seconds > TOLERANCE_SECONDS
    return TrackStatus("truncated" if is_cut else "recovered", round(lost, 3))
