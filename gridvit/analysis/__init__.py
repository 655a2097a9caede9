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
from gridvit.analysis.faithfulness import (
    Masking,
    ablation_losses,
    descending,
    map_similarity,
    masking_table,
    matched,
    randomisation,
)
from gridvit.analysis.frozen import MeanStencil, RadialMean
from gridvit.analysis.hypotheses import Hypothesis, check_hypotheses, propose
from gridvit.analysis.looking import attention_by_blocks
from gridvit.analysis.map_scores import auroc, average_precision, planted_scores
from gridvit.analysis.modes import cca, eof, eof_regression, mca
from gridvit.analysis.probe import patch_cells, probe
from gridvit.analysis.relevance import (
    gradient_relevance,
    gradient_rows,
    head_means,
    map_reach,
    rollout_rows,
    token_regions,
)
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
    "Masking",
    "MeanStencil",
    "RadialMean",
    "Readout",
    "WithAttention",
    "ablation_losses",
    "anomalies",
    "attention_by_blocks",
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
    "descending",
    "effective_size",
    "effective_size_ar1",
    "energy_modes",
    "eof",
    "eof_regression",
    "false_discovery",
    "fit_advection_diffusion",
    "gradient_relevance",
    "gradient_rows",
    "head_means",
    "map_reach",
    "map_similarity",
    "masking_table",
    "matched",
    "mca",
    "partial_correlation",
    "patch_cells",
    "phase_average",
    "phase_surrogates",
    "planted_scores",
    "probe",
    "propose",
    "radial_lift",
    "randomisation",
    "region_mean",
    "region_weights",
    "rollout_rows",
    "sphere_rows",
    "surrogate_p",
    "symbol_table",
    "teleconnections",
    "token_regions",
    "zonal_stencil",
]
