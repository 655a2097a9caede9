"""A network that starts from the weights of another run, and which of its weights train."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path

from torch import Tensor

from gridvit.checkpoint import HEAD, Description, model_file, part, read, rebuilt
from gridvit.errors import InputError
from gridvit.nn import ViT
from gridvit.nn.block import Block
from gridvit.nn.heads import Head
from gridvit.nn.lora import adapt
from gridvit.nn.own import Own
from gridvit.nn.step import ModelStep
from gridvit.training_config import StartConfig

log = logging.getLogger("gridvit")
NETWORK = "network."
FREE = ("preset", "checkpointing", "features")  # keys of the model that leave its blocks as they are
BEGINS, ENDS = ("stem.", "embed."), ("decode.", "skip.")
SHOWN = 3  # names of tensors in a sentence


def begin(model: ModelStep, description: Description, start: StartConfig, head: Head | None = None) -> None:
    """Give ``model`` the weights of the run ``start.run``, and let those train that ``start.train`` names.

    The network takes over its blocks, norms, positions, registers, and what it is told by; its embedding where it sees
    the same inputs; its decoder and skip where they mean the same, the same targets forecast at the same leads; a head
    where it labels the same. All else starts anew, and always trains. Statistics are those of the new data. On another
    grid the network is moved first, as ``ViT.on`` does.

    Args:
        model: new.
        description: of it.
        start: from which run, and what trains.
        head: of a model that labels.

    Raises:
        InputError: no such run; another architecture, with the keys that differ; what ``ViT.on`` refuses; parts named
            of a network of one's own; more blocks than there are.
    """
    path = Path(start.run)
    if not path.exists():
        raise InputError("a trained run", f"no {path}", "name the folder of a finished run")
    path = model_file(path)
    tensors, theirs = read(path)
    refuse_other(path, theirs, description)
    if isinstance(model.network, Own):
        _own(model.network, tensors, path, start)
        return
    anew = _anew(theirs, description, tensors, model)
    fresh = _copy(model.attending, _network(tensors, theirs, model), anew, path)
    always = anew + ENDS if head is None else tuple({*anew} - {*ENDS})
    _choose(model.attending, start, always, head is None)
    if head is not None:
        fresh = [name for name in fresh if f"{name}." not in ENDS]
        fresh += _copy_head(head, tensors, theirs, description)
    parameters = [*model.parameters(), *(() if head is None else head.parameters())]
    log.info(
        "starts from %s; anew: %s; %d of %d parameters train",
        path,
        ", ".join(fresh) or "nothing",
        sum(p.numel() for p in parameters if p.requires_grad),
        sum(p.numel() for p in parameters),
    )


def refuse_other(path: Path, theirs: Description, ours: Description) -> None:
    """Refuse a network of another architecture; raises InputError with the keys of the model that differ."""
    known, wanted = asdict(theirs.config), asdict(ours.config)
    keys = [key for key in known if key not in FREE and known[key] != wanted[key]]
    if keys:
        raise InputError(
            f"the model of {path} ({_listed(known, keys)})",
            _listed(wanted, keys),
            "set them as they are there, or start from another run",
        )
    told = [description.channels.parameters for description in (theirs, ours)]
    if len(told[0]) != len(told[1]):
        raise InputError(
            f"{len(told[0])} data.parameters, as the model of {path} is told",
            str(len(told[1])),
            "name as many, or start from another run",
        )


def _listed(config: Mapping[str, object], keys: Iterable[str]) -> str:
    return ", ".join(f"model.{key} {config[key]}" for key in keys)


def _own(network: Own, tensors: Mapping[str, Tensor], path: Path, start: StartConfig) -> None:
    """All weights of a network of one's own: nothing is known of its parts."""
    if start.train != "all":
        raise InputError(
            "training.start.train all for a network of your own",
            start.train,
            "freeze its weights in your module",
        )
    found = part(tensors, NETWORK)
    differ = _differing(network.state_dict(), found)
    if differ:
        raise InputError(f"the network of {path}", f"one that differs in {_some(differ)}", "give that one")
    network.load_state_dict(found)


def _differing(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> list[str]:
    """Names that only one has, or that have other shapes."""
    names = sorted({*ours, *theirs})
    return [n for n in names if n not in ours or n not in theirs or ours[n].shape != theirs[n].shape]


def _some(names: list[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def _network(tensors: Mapping[str, Tensor], theirs: Description, model: ModelStep) -> Mapping[str, Tensor]:
    """The state of their network, on our grid."""
    if theirs.grid == model.grid:
        return part(tensors, NETWORK)
    return rebuilt(tensors, theirs).attending.on(model.grid).state_dict()


def _anew(
    theirs: Description, ours: Description, tensors: Mapping[str, Tensor], model: ModelStep
) -> tuple[str, ...]:
    """Beginnings of the names of what cannot be taken over: what sees other inputs, or gives other outputs."""
    seen = [
        _seen(description, presence)
        for description, presence in ((theirs, tensors["presence"]), (ours, model.presence))
    ]
    given = [(d.task.kind, d.channels.targets, d.channels.leads) for d in (theirs, ours)]
    if seen[0] != seen[1]:
        return BEGINS + ENDS
    return () if given[0] == given[1] and ours.task.kind != "masked" else ENDS


def _seen(description: Description, presence: Tensor) -> tuple:
    """What the inputs of a network are: names, frames, features, and which have masks."""
    channels = description.channels
    gaps = [bool((share < 1).any()) for share in presence]
    masked = [
        name
        for name, gap in zip(channels.frame, gaps, strict=True)
        if gap and name not in channels.diagnostic
    ]
    rim = channels.prognostic if channels.boundary else ()
    names = channels.inputs, channels.forcing, channels.static, rim
    return names, channels.history, description.config.features, masked


def _copy(network: ViT, found: Mapping[str, Tensor], anew: tuple[str, ...], path: Path) -> list[str]:
    """Take over what is not ``anew``; gives the names of the parts that are."""
    ours = network.state_dict()
    differ = [name for name in _differing(ours, found) if not name.startswith(anew)]
    if differ:
        raise InputError(
            f"the network of {path}, of as many gaps and of tokens of equal areas or not, as there",
            f"one that differs in {_some(differ)}",
            "start from another run, or from none",
        )
    # The zero of a vector over a pole is one of statistics, and those are ours.
    kept = {n: v for n, v in found.items() if not n.startswith(anew) and not n.endswith("twice_zero")}
    network.load_state_dict({**ours, **kept})
    return sorted({name.partition(".")[0] for name in ours if name.startswith(anew)})


def _copy_head(
    head: Head, tensors: Mapping[str, Tensor], theirs: Description, ours: Description
) -> list[str]:
    """Take over a head that labels the same; gives its name where it starts anew."""
    if (theirs.task, theirs.channels.diagnostic) != (ours.task, ours.channels.diagnostic):
        return ["head"]
    head.load_state_dict(part(tensors, HEAD))
    return []


def _choose(network: ViT, start: StartConfig, always: tuple[str, ...], decodes: bool) -> None:
    """Freeze all but what ``start.train`` names and what ``always`` trains, by the beginnings of names.

    Where a head reads the tokens nothing ``decodes`` them, and the way back to the cells is no part of the network.
    """
    if start.train == "all":
        return
    network.requires_grad_(False)
    blocks = ordered_blocks(network, decodes)
    if start.train == "last":
        if start.blocks > len(blocks):
            raise InputError(
                f"training.start.blocks of at most {len(blocks)}",
                str(start.blocks),
                "take fewer, or train all",
            )
        for each in (*blocks[-start.blocks :], *((network.norm,) if decodes else ())):
            each.requires_grad_(True)
    if start.train == "lora":
        adapt(blocks, start.rank, start.alpha)
    for name, parameter in network.named_parameters():
        if name.startswith(always):
            parameter.requires_grad_(True)


def ordered_blocks(network: ViT, decodes: bool = True) -> list[Block]:
    """All blocks in the order in which tokens pass them, on their way back to the cells only where one ``decodes``."""
    down = [block for level in network.levels for block in level.down]
    up = [block for level in reversed(network.levels) for block in level.up] if decodes else []
    return [*down, *network.blocks, *up]
