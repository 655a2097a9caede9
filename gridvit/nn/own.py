"""A network that is not gridvit's: any module of the same signature in the place of the transformer."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gridvit.config import ModelConfig
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.nn.attention import Replace
from gridvit.nn.features import check_place

Factory = Callable[[int, int, Grid], nn.Module]  # (inputs, outputs, grid) -> network; a class will do
Network = nn.Module | Factory


class Own(nn.Module):
    """f(x) of a network of one's own: ``(B, inputs, *space)`` of order one to ``(B, outputs, *space)``.

    A file names no code, so the network is given again wherever its run is loaded. Weights start as they are: the
    untrained step is persistence where the last layer starts at zero.

    Args:
        network: a module, trained in place, or what makes one from ``inputs, outputs, grid``.
        config: of which ``features`` and ``patch`` count, the latter the shifts in cells that the network commutes
            with (those of a convolution without strides are 1).
        grid: of the fields.
        inputs: channels.
        outputs: channels.
        told: numbers that it would be told of each state, such as parameters: none.

    Raises:
        InputError: no network, one of another signature or with a state that is more than tensors, something to be
            told.
    """

    masks = None

    def __init__(
        self,
        network: Network | None,
        config: ModelConfig,
        grid: Grid,
        inputs: int,
        outputs: int,
        told: int = 0,
    ) -> None:
        super().__init__()
        if told:
            raise InputError(
                "a network that is told parameters or leads",
                "one of your own",
                "leave data.parameters out, and model.leads as it is",
            )
        if network is None:
            raise InputError(
                "the network that this run was made with, as model.kind is own",
                "none",
                "give it as model=... in Python, or --network package.module:factory",
            )
        check_place(config.features, grid)
        grid.coarsen(config.patch)
        made = network if isinstance(network, nn.Module) else _made(network, inputs, outputs, grid)
        _check(made, (inputs, *grid.shape), (outputs, *grid.shape))
        self.network, self.config, self.grid = made, config, grid

    def forward(
        self,
        x: Float[Tensor, "batch input *space"],
        attention: Replace | None = None,
        condition: Tensor | None = None,
    ) -> Float[Tensor, "batch out *space"]:
        """Increments; there is no attention to see or replace, and nothing else is told."""
        if attention is not None:
            raise without_attention()
        return self.network(x)


def without_attention() -> InputError:
    """What is said where attention is asked for."""
    return InputError("a network with attention", "one of your own", "ask for what needs none, such as probe")


def _made(factory: Callable[..., object], inputs: int, outputs: int, grid: Grid) -> Any:
    try:
        signature(factory).bind(inputs, outputs, grid)
    except TypeError as error:
        raise InputError(
            "a factory of a network that takes inputs, outputs and grid",
            f"one that does not ({error})",
            "give it these three arguments",
        ) from None
    return factory(inputs, outputs, grid)


def _check(network: object, taken: tuple[int, ...], given: tuple[int, ...]) -> None:
    """Try the network on zeros, in evaluation mode: what it counts of its inputs stays as it is."""
    if not isinstance(network, nn.Module):
        raise InputError("a torch.nn.Module", type(network).__name__, "let the factory return one")
    shown = f"a network from (batch, {_list(taken)}) to (batch, {_list(given)})"
    training = network.training
    try:
        with torch.no_grad():
            found = network.eval()(torch.zeros(1, *taken))
    except (RuntimeError, TypeError, ValueError) as error:
        reason = str(error).strip().split("\n")[0]
        raise InputError(shown, f"one that fails there ({reason})", "correct its shapes") from error
    finally:
        network.train(training)
    if not isinstance(found, Tensor) or tuple(found.shape) != (1, *given):
        got = (
            f"(batch, {_list(tuple(found.shape[1:]))})" if isinstance(found, Tensor) else type(found).__name__
        )
        raise InputError(shown, f"one to {got}", "correct its shapes")
    for name, value in network.state_dict().items():
        if not isinstance(value, Tensor):  # no file of weights holds it
            raise InputError(
                "a network whose state_dict() holds tensors alone",
                f"one with {name!r}, a {type(value).__name__}",
                "wrap it, e.g. hold its parts in a ModuleDict and the network itself in a tuple",
            )


def _list(sizes: tuple[int, ...]) -> str:
    return ", ".join(map(str, sizes))
