"""What a network is made of, as the user states it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from math import inf
from typing import Any, Literal

from gridvit.errors import InputError


def require(config: Any, least: int, *names: str) -> None:
    """Refuse fields below ``least`` and those that are not finite; a config within another says where by ``PATH``."""
    for name in names:
        value = getattr(config, name)
        values = value if isinstance(value, tuple) else (value,)
        if not all(least <= v < inf for v in values):
            finite = " and finite" if inf in values else ""
            kind = getattr(config, "PATH", type(config).__name__.removesuffix("Config").lower())
            raise InputError(f"{kind}.{name} of at least {least}{finite}", str(value), "correct it")


def _vit(width: int, depth: int, heads: int) -> dict[str, Any]:
    """A plain Vision Transformer: patches of the fields, and attention."""
    sizes = {"width": width, "depth": depth, "heads": heads}
    return {**sizes, "embed": "linear", "decode": "linear", "channels": 24, "between": 0, "local": 0}


PRESETS: dict[str, dict[str, Any]] = {
    "hybrid": {
        "width": 96, "depth": 2, "heads": 4,
        "embed": "conv", "decode": "conv", "channels": 16, "between": 32, "local": 3,
    },
    "mini": _vit(128, 4, 4),
    "tiny": _vit(192, 12, 3),
    "small": _vit(384, 12, 6),
    "base": _vit(768, 12, 12),
}  # fmt: skip
"""What each says where it is not given."""
MERGEABLE = ("conv", "conv", (1,))
"""Embed, decode and sizes of a network whose cells can be merged."""


@dataclass(frozen=True)
class ModelConfig:
    """A Vision Transformer on patch tokens whose attention is biased by physical distance.

    Args:
        kind: "vit", or "own" for a network given in Python (gridvit.train(config, model=...)) or by --network.
        patch: cells of a token along each axis; a periodic axis must be divided by it. Of an own network the shifts in
            cells that it commutes with.
        preset: by a name width, depth, heads, embed, decode, channels, between and local, where they are not given.
            "hybrid" is 96, 2, 4, conv, conv, 16, 32 and 3: a U-shaped network of convolutions at the cells and at
            cells merged by twos, with attention at its bottom (a Vision Transformer with a convolutional stem is called
            a hybrid). The others are plain, linear, linear, 24, 0 and 0: "mini" is 128, 4 and 4; "tiny" 192, 12 and
            3; "small" 384, 12 and 6; "base" 768, 12 and 12, the 86 million parameters of ViT-B/16. It gives way where
            what is given excludes it: other ``tokens`` to a linear embed; other ``sizes``, a linear embed or decode,
            or an odd ``patch`` to no merged cells.
        width: channels of a token; 0 for the preset's, as of depth, heads and channels.
        depth: transformer blocks.
        heads: attention heads; width must be divisible by it.
        mlp_ratio: hidden width of the feed-forward part over ``width``.
        bias: additive bias of the attention logits by distance. "distance": von Mises-Fisher on the sphere, a Fourier
            series along periodic axes and a Gaussian with an offset across bounded ones; "fourier" and "gaussian" are
            those alone, "gaussian" on the sphere a bump at a learned offset; "harmonics": Legendre series on the
            sphere; "linear" in the distance (ALiBi) and "radial" (a small network of it) keep a matrix of all pairs.
        spectral: take a series in place of that matrix, which needs no memory for it: Legendre polynomials up to this
            degree on the sphere, (spectral + 1)^2 - 1 dimensions of a head, or up to so many waves along the longest
            axis of a plane. How far it is from the curve is written at the start of training; 0 for the matrix.
        harmonics: harmonics of the bias along each periodic axis of a plane; the degree of "harmonics".
        position: "bounded" adds smooth features of the coordinates along the axes that are not periodic (latitude
            on the sphere); along periodic axes position enters by distance alone. "sincos" adds whole waves along those
            too, "harmonics" the spherical harmonics of degrees 1 to 6, "learned" a vector of its own for each token;
            "rope" turns queries and keys by their place, "none" leaves all to the bias.
        window: reach of attention in km or axis units; 0 for all of the grid.
        registers: learned tokens without a place, beside those of the grid.
        norm: before attention and feed-forward part ("pre"), or after their sums ("post").
        layer_scale: start of a learned gain of each branch and channel, such as 0.1; 0 for none.
        qk_norm: normalise queries and keys, which bounds the logits.
        leads: several ``data.leads`` are as many channels of one output ("channels"), or the network is told the
            logarithm of the lead and run for each ("condition"), which costs more and keeps one network for all.
        half: for training in bfloat16: numbers that a feature of the distance bias is a sum of. 2 keeps three
            dimensions of a head for each of the bias, and holds it between tokens of some 3 degrees; 3 keeps six and
            is as good as single precision. 0 keeps one; attention in bfloat16 is then wider than a head, and slower.
        checkpointing: compute each block again in the backward pass, which saves memory and costs a third of the time.
        features: further inputs made from place and time (sphere only): local solar time, day of the year,
            insolation at the top of the atmosphere (daily mean where a step is a day or longer), sine of latitude,
            and the two horizontal components of the position on the unit sphere for longitude.
        earlier: of a ``data.history`` of several frames the earlier ones are seen as they are ("frames"), or as the
            "differences" of frames that follow each other, in units of the increments: the same information, found
            sooner where a step changes little.
        embed: patches of the fields ("linear"), or of two layers of convolutions of the fields ("conv"), which continue
            them around periodic axes, over the poles, and as they are at walls; empty for the preset's, as of decode.
        decode: a linear map from each token to its cells ("linear"), or one followed by such convolutions ("conv"),
            which mix across the borders of patches and, after convolutions before, see their result too (U-shaped).
        channels: of convolutions at the cells.
        between: channels of convolutions at cells that are merged by twos along each axis, between those at the cells
            and the tokens on both ways (``embed`` and ``decode`` "conv", an even ``patch``); 0 for none, null for the
            preset's.
        local: before the attention of each block a convolution of so many tokens along each axis, an odd number,
            channel by channel, which leaves what is near to it and what is farther to the heads; 0 for none, null for
            the preset's.
        sizes: patches along each axis that a token sees, ascending: [1, 3] looks at its own and at three times three
            around it, [2] has patches that overlap by half.
        tokens: at each place one of all inputs ("place"), or one for each frame of the history or each variable seen
            ("frame", "variable"), with what is given beside; distances are then those of the places, and each head
            learns a number for each pair of frames or variables.
        levels: for high resolution, blocks within windows before and after two tokens along each axis are merged into
            one, level by level from the finest, e.g. [2]; the ``depth`` global blocks have the coarsest tokens.
            ``window`` is then that of the fine levels, by default three spacings of their tokens. Position and
            registers are those of the coarsest.
    """

    kind: Literal["vit", "own"] = "vit"
    patch: tuple[int, ...] = (4, 4)
    preset: Literal["hybrid", "mini", "tiny", "small", "base"] = "hybrid"
    width: int = 0
    depth: int = 0
    heads: int = 0
    mlp_ratio: int = 4
    bias: Literal["distance", "harmonics", "gaussian", "fourier", "linear", "radial", "none"] = "distance"
    harmonics: int = 2
    spectral: int = 0
    position: Literal["bounded", "none", "learned", "sincos", "harmonics", "rope"] = "bounded"
    features: tuple[Literal["local_time", "day_of_year", "insolation", "latitude", "longitude"], ...] = ()
    window: float | int = 0.0
    registers: int = 0
    norm: Literal["pre", "post"] = "pre"
    layer_scale: float | int = 0.0
    qk_norm: bool = False
    leads: Literal["channels", "condition"] = "channels"
    half: Literal[0, 2, 3] = 0
    checkpointing: bool = False
    earlier: Literal["frames", "differences"] = "frames"
    embed: Literal["", "linear", "conv"] = ""
    decode: Literal["", "linear", "conv"] = ""
    channels: int = 0
    between: int | None = None
    local: int | None = None
    sizes: tuple[int, ...] = (1,)
    tokens: Literal["place", "frame", "variable"] = "place"
    levels: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        self._take(**PRESETS[self.preset])
        require(self, 0, "window", "registers", "layer_scale", "spectral", "between", "local")
        require(self, 1, "patch", "width", "depth", "heads", "mlp_ratio", "harmonics")
        require(self, 1, "channels", "levels", "sizes")
        if not self.sizes or list(self.sizes) != sorted(set(self.sizes)):
            raise InputError("model.sizes that ascend", str(list(self.sizes)), "correct them")
        if isinstance(self.local, bool):
            raise InputError("model.local as a number of tokens", str(self.local), "try 3, or 0 for none")
        if self.local and self.local % 2 == 0:
            raise InputError("an odd model.local, or 0", str(self.local), f"try {self.local + 1}")
        self._refuse_between()
        if self.tokens != "place" and (self.embed == "conv" or self.levels):
            got = "model.embed conv" if self.embed == "conv" else f"model.levels {list(self.levels)}"
            raise InputError(
                f"one embedding and one level for model.tokens {self.tokens}", got, "leave one of them out"
            )

    def _take(self, embed: str, between: int, **others: Any) -> None:
        """The preset's values where none are given, and where what is given does not exclude them."""
        self._fill(embed="linear" if self.tokens != "place" else embed, **others)
        tiled = (self.embed, self.decode, self.sizes) == MERGEABLE and not any(n % 2 for n in self.patch)
        self._fill(between=between if tiled else 0)

    def _fill(self, **values: Any) -> None:
        blank = {field.name: field.default for field in fields(self)}
        for name, value in values.items():
            if getattr(self, name) == blank[name]:
                object.__setattr__(self, name, value)

    def _refuse_between(self) -> None:
        """Merged cells want convolutions on both sides and patches that they tile."""
        if not self.between:
            return
        if (self.embed, self.decode, self.sizes) != MERGEABLE:
            raise InputError(
                "model.embed conv, model.decode conv and model.sizes [1] where model.between is set",
                f"{self.embed}, {self.decode} and {list(self.sizes)}",
                "correct them, or leave it out",
            )
        if any(cells % 2 for cells in self.patch):
            raise InputError(
                "an even model.patch where model.between is set",
                str(list(self.patch)),
                "correct it, or leave it out",
            )
