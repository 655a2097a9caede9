"""A trained step read as a numerical scheme: its stencil, its symbol, its attention, and what it is worth.

Nothing here knows the network. It sees Steps, arrays of attention weights, and Grids.
"""

from gridvit.analysis.attention import (
    attention_distance,
    attention_rollout,
    attention_split,
    attention_stencil,
    radial_lift,
    received_attention,
    zonal_stencil,
)
from gridvit.analysis.bloch import bloch, phase_average
from gridvit.analysis.compare import compare
from gridvit.analysis.probe import patch_cells, probe
from gridvit.analysis.symbol import energy_modes, fit_advection_diffusion, symbol_table
from gridvit.analysis.zonal import sphere_rows

__all__ = [
    "attention_distance",
    "attention_rollout",
    "attention_split",
    "attention_stencil",
    "bloch",
    "compare",
    "energy_modes",
    "fit_advection_diffusion",
    "patch_cells",
    "phase_average",
    "probe",
    "radial_lift",
    "received_attention",
    "sphere_rows",
    "symbol_table",
    "zonal_stencil",
]
