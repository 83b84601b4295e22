"""The groups of metrics that vtune brings, one module each; a new module here is a new group.

The module declares ``METRICS``, a ``vtune.evaluation.metric_group.MetricGroup``. Scores, tables, page, card, logs and
the names that a recipe may use follow from the group.
"""

from vtune.evaluation.metric_group import MetricGroup
from vtune.runtime.registry import read_registry

METRIC_GROUPS = read_registry(__name__, "METRICS", MetricGroup)
"""Groups of metrics by name."""
