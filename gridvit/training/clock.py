"""How fast a training goes, and how long it still takes."""

from __future__ import annotations

import time


class Clock:
    """Steps and seconds since training began or went on; validation and checkpoints count in.

    speed = steps / seconds, time left = (all steps - step) / speed: of the whole training, not of an epoch. The first
    epoch knows of no validation yet and promises too much, by its share of the time.
    """

    def __init__(self, step: int, steps: int) -> None:
        self.first, self.steps, self.started = step, steps, time.monotonic()

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self.started

    def speed(self, step: int) -> float:
        """Steps per second; 0 before the first."""
        return (step - self.first) / max(self.seconds, 1e-9)

    def told(self, step: int) -> str:
        """Such as "7.2 steps/s, about 12 min left", and at the end how long it took."""
        speed = self.speed(step)
        if step >= self.steps:
            return f"{speed:.3g} steps/s, {spoken(self.seconds)} in all"
        return f"{speed:.3g} steps/s, about {spoken((self.steps - step) / speed)} left" if speed > 0 else ""


def spoken(seconds: float) -> str:
    """A span of time in the two units that count."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min"
    return f"{hours // 24} d {hours % 24} h"
