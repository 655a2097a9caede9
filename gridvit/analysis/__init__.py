"""A trained step read as a numerical scheme: its stencil, its symbol, its attention, and what it is worth.

Nothing here knows the network. It sees Steps, arrays of attention weights, and Grids.
"""

from gridvit.analysis.attention import (
    attention_distance,
    attention_rollout,
    attention_split,
    attention_stencil,
    radial_lift,
    zonal_stencil,
)
from gridvit.analysis.attribution import Readout, WithAttention, region_weights
from gridvit.analysis.bloch import bloch, phase_average
from gridvit.analysis.compare import compare
from gridvit.analysis.hypotheses import Hypothesis, check_hypotheses, propose
from gridvit.analysis.map_scores import auroc, average_precision, planted_scores
from gridvit.analysis.modes import cca, eof, eof_regression, mca
from gridvit.analysis.probe import patch_cells, probe
from gridvit.analysis.significance import (
    effective_size,
    effective_size_ar1,
    false_discovery,
    phase_surrogates,
    surrogate_p,
)
from gridvit.analysis.symbol import energy_modes, fit_advection_diffusion, symbol_table
from gridvit.analysis.teleconnection import anomalies, partial_correlation, region_mean, teleconnections
from gridvit.analysis.zonal import sphere_rows

__all__ = [
    "Hypothesis",
    "Readout",
    "WithAttention",
    "anomalies",
    "attention_distance",
    "attention_rollout",
    "attention_split",
    "attention_stencil",
    "auroc",
    "average_precision",
    "bloch",
    "cca",
    "check_hypotheses",
    "compare",
    "effective_size",
    "effective_size_ar1",
    "energy_modes",
    "eof",
    "eof_regression",
    "false_discovery",
    "fit_advection_diffusion",
    "mca",
    "partial_correlation",
    "patch_cells",
    "phase_average",
    "phase_surrogates",
    "planted_scores",
    "probe",
    "propose",
    "radial_lift",
    "region_mean",
    "region_weights",
    "sphere_rows",
    "surrogate_p",
    "symbol_table",
    "teleconnections",
    "zonal_stencil",
]
