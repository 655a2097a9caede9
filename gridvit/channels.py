"""What the channels of a state are, and what is given beside it: names and counts, no arrays."""

from __future__ import annotations

from dataclasses import dataclass

from gridvit.errors import InputError

ROLES = ("prognostic", "diagnostic", "predictor", "forcing")


@dataclass(frozen=True)
class Channels:
    """x(t) = (u, v at t, t - 1, ..), f, s -> u(t + L), y(t + L): what is predicted, and from what.

    A frame holds the moving variables in this order: prognostic u (seen and predicted), diagnostic y (predicted
    alone), predictor v (seen, not predicted), forcing f (known in the future). A state is a frame without its
    forcings, followed by the earlier frames of u and v: the step of a model with history is then a step of this
    larger state, as multi-step schemes are read in companion form.

    Args:
        prognostic: names.
        diagnostic: names.
        predictor: names.
        forcing: names.
        static: names of fields s that do not move.
        index: those of the diagnostic that are one number, held as a constant field.
        history: frames in a state.
        leads: steps of the data to what is predicted, ascending multiples of the first, which is the model's step.
        boundary: cells at each bounded axis whose u(t + L) is given.
        parameters: numbers that each trajectory has of its own and the model is told, a name for each.
        vector: those that are horizontal components of vectors, which turn round over a pole.

    Raises:
        InputError: nothing to predict; leads that are no multiples of the first; several leads where something is
            given at the end of a step; a boundary without a prognostic variable.
    """

    prognostic: tuple[str, ...] = ()
    diagnostic: tuple[str, ...] = ()
    predictor: tuple[str, ...] = ()
    forcing: tuple[str, ...] = ()
    static: tuple[str, ...] = ()
    index: tuple[str, ...] = ()
    history: int = 1
    leads: tuple[int, ...] = (1,)
    boundary: int = 0
    parameters: tuple[str, ...] = ()
    vector: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.targets:
            raise InputError(
                "something to predict",
                "neither data.variables nor data.diagnostics nor data.indices",
                "name some",
            )
        if not self.inputs:
            raise InputError(
                "something to predict from", "neither data.variables nor data.predictors", "name some"
            )
        if list(self.leads) != sorted(set(self.leads)) or any(lead % self.leads[0] for lead in self.leads):
            raise InputError(
                "data.leads in ascending multiples of the first",
                f"{list(self.leads)}",
                "correct them, or train one model for each",
            )
        if len(self.leads) > 1 and (self.forcing or self.boundary):
            raise InputError(
                "one lead where forcings or a boundary are given at its end",
                f"data.leads {list(self.leads)}",
                "train one model for each lead",
            )
        if self.boundary and not self.prognostic:
            raise InputError(
                "variables whose boundary is given", "none in data.variables", "set data.boundary to 0"
            )

    @property
    def targets(self) -> tuple[str, ...]:
        """What is predicted: the first channels of a frame and of a state."""
        return self.prognostic + self.diagnostic

    @property
    def now(self) -> tuple[str, ...]:
        """A frame without forcings."""
        return self.targets + self.predictor

    @property
    def frame(self) -> tuple[str, ...]:
        """All that moves."""
        return self.now + self.forcing

    @property
    def inputs(self) -> tuple[str, ...]:
        """What is seen of each frame of the state."""
        return self.prognostic + self.predictor

    @property
    def input_places(self) -> list[int]:
        """Channels of a frame that are seen."""
        return [n for n, name in enumerate(self.now) if name in self.inputs]

    @property
    def state(self) -> tuple[str, ...]:
        """Names along the second axis of a state; ``u@-1`` is u a step of the data earlier."""
        earlier = (f"{name}@-{k}" for k in range(1, self.history) for name in self.inputs)
        return (*self.now, *earlier)

    @property
    def state_places(self) -> list[int]:
        """The channel of a frame that each channel of a state comes from."""
        return [*range(len(self.now)), *self.input_places * (self.history - 1)]

    @property
    def known_places(self) -> list[int]:
        """Channels of a frame that are given at both ends of a step: forcings, then u where its boundary is."""
        forcing = [*range(len(self.now), len(self.frame))]
        return forcing + [*range(len(self.prognostic))] * bool(self.boundary)

    @property
    def offsets(self) -> tuple[int, ...]:
        """Steps of the data, from t, of the frames that a training window holds."""
        return (*range(1 - self.history, 1), *self.leads)

    @property
    def relative_leads(self) -> list[float]:
        """The leads in steps of the model."""
        return [lead / self.pace for lead in self.leads]

    @property
    def pace(self) -> int:
        """Steps of the data in a step of the model."""
        return self.leads[0]
