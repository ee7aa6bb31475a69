"""What was wrong with a film, counted while it is read."""

from dataclasses import dataclass

from vidcolor.counts import counted


@dataclass
class Damage:
    """Counts of damage. Empty (False) for a film that is sound."""

    corrupt_packets: int = 0  # flagged by the demuxer
    undecodable_packets: int = 0  # the decoder gave an error instead of a frame
    corrupt_frames: int = 0  # decoded with errors, yielded all the same
    repaired_timestamps: int = 0  # absent or not later than the frame before
    resized_frames: int = 0  # the picture changed size or format mid-stream and was converted
    ends_early_seconds: float = 0.0  # before the length that the container states

    def excuse_joins(self, count: int) -> None:
        """Forgive the last packet before each join of recordings: it is flagged as its continuity counter breaks."""
        if not self.corrupt_frames and not self.undecodable_packets:
            self.corrupt_packets -= min(self.corrupt_packets, count)

    def __bool__(self) -> bool:
        return any(vars(self).values())

    def describe(self) -> str:
        """One line for the report; empty for a sound film."""
        counts = {name: count for name, count in vars(self).items() if count and name != "ends_early_seconds"}
        parts = [counted(count, name.replace("_", " ").removesuffix("s")) for name, count in counts.items()]
        if self.ends_early_seconds:
            parts.append(f"ends {self.ends_early_seconds:.1f} s early")
        return ", ".join(parts)
