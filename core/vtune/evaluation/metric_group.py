"""What a group of metrics is; each module of ``vtune.evaluation.metrics`` declares one."""

from __future__ import annotations

from dataclasses import dataclass

from vtune.contract.metrics import MetricMaker


@dataclass(frozen=True, slots=True)
class MetricGroup:
    """Metrics that one class measures together; its module declares the group as ``METRICS``.

    :param name: what users may write for all metrics of the group, such as ``speaker``.
    :param maker: the class; its ``specs`` describe each metric.
    :param position: groups with smaller numbers come first in tables.
    """

    name: str
    maker: MetricMaker
    position: int
