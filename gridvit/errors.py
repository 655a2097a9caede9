"""One kind of refusal, in three parts: what was expected, what came, what to do about it."""

from __future__ import annotations


class InputError(ValueError):
    """Bad input, said as ``expected {expected}, got {got}: {do}``.

    The command line shows the sentence alone and exits with status 2; in Python it is a ``ValueError``.
    """

    shared = False
    """Whether every process that trains has the same to say, so that the first one says it for all."""

    def __init__(self, expected: str, got: str, do: str) -> None:
        super().__init__(f"expected {expected}, got {got}: {do}")
        self._parts = expected, got, do

    def at(self, place: str) -> InputError:
        """The same refusal of something in ``place``, such as "line 3 of a.txt"."""
        expected, got, do = self._parts
        return InputError(f"{expected} in {place}", got, do)

    def __reduce__(self) -> tuple[type[InputError], tuple[str, str, str]]:
        """The same sentence in another process."""
        return type(self), self._parts
