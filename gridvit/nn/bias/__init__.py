"""Distance bias of attention, folded exactly into a few extra dimensions of queries and keys.

The logits are ``q_i . k_j / sqrt(d) + b_h(x_i, x_j) + log w_j`` with the bias ``b_h`` a function of physical
distance and ``w_j`` the area of key ``j``. Most families here can be written ``b_h = f_q(x_i) . f_k(x_j)`` up to a
term that depends on the query alone, which softmax does not see; so the bias rides along inside
``scaled_dot_product_attention`` and no L x L matrix is ever made. ``logits`` is the explicit reference that the
fold is tested against, and what analysis looks at. The families in the distance itself have no finite fold (its
matrix has full rank); their logits are added as a mask, or a finite series takes their place, with a stated error.
"""

from gridvit.nn.bias.area import AreaWeighted
from gridvit.nn.bias.base import Bias, Fold, NoBias, nearest_distance
from gridvit.nn.bias.choose import make_bias, make_biases
from gridvit.nn.bias.pairs import Distances, Pairs
from gridvit.nn.bias.plane import Plane
from gridvit.nn.bias.radial import Linear, OfDistance, Radial
from gridvit.nn.bias.spectral import Fourier, Legendre
from gridvit.nn.bias.sphere import Aimed, Chordal, Harmonics

__all__ = [
    "Aimed",
    "AreaWeighted",
    "Bias",
    "Chordal",
    "Distances",
    "Fold",
    "Fourier",
    "Harmonics",
    "Legendre",
    "Linear",
    "NoBias",
    "OfDistance",
    "Pairs",
    "Plane",
    "Radial",
    "make_bias",
    "make_biases",
    "nearest_distance",
]
