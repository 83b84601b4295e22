"""Find metrics by name: vtune's own, one module a group in ``metrics/``, and those of extensions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from vtune.contract.metrics import MetricMaker, MetricSpec
from vtune.engines import Engine
from vtune.errors import EngineError, RecipeError, choices
from vtune.evaluation.metrics import METRIC_GROUPS
from vtune.recipe import Recipe

METRICS: dict[str, MetricMaker] = {
    group.name: group.maker for group in sorted(METRIC_GROUPS.values(), key=lambda group: group.position)
}
"""The maker of each of vtune's metric groups, by the name of the group, in the order of the tables."""


def metric_makers(engine: Engine, recipe: Recipe, names: Iterable[str] | None = None) -> dict[str, MetricMaker]:
    """Return the makers of the named metrics, by group; of all for None.

    :param names: groups, or metrics, which stand for their group: they are measured together.
    :raises RecipeError: there is no such group and no such metric; suggests the nearest.
    """
    makers = _all_makers(engine, recipe)
    if names is None:
        return makers
    group_of = {name: group for group, specs in _specs_by_group(makers).items() for name in [*specs, group]}
    names = list(names)
    for name in names:
        if name not in group_of:
            raise RecipeError([f"evaluate.metrics: there is no metric {name!r}{choices(name, group_of, 'known')}"])
    groups = {group_of[name] for name in names}
    return {group: maker for group, maker in makers.items() if group in groups}


def _all_makers(engine: Engine, recipe: Recipe) -> dict[str, MetricMaker]:
    """Return the maker of every metric group by its name; an extension's group may replace vtune's group of the same
    name.

    :raises EngineError: two extensions have one group, or two groups have one metric.
    """
    makers, owners = dict(METRICS), dict.fromkeys(METRICS, "vtune")
    for owner, group, maker in engine.metrics(recipe):
        if owners.get(group, "vtune") != "vtune":
            raise EngineError(
                f"{owner}: metrics lists the group {group!r}, which {owners[group]} has already; rename it"
            )
        makers[group], owners[group] = maker, owner
    groups: dict[str, str] = {}
    for group, maker in makers.items():
        for spec in _specs(f"{owners[group]}: the metrics {group!r}", maker):
            other = groups.setdefault(spec.name, group)
            if other != group:
                raise EngineError(
                    f"{owners[group]}: metrics lists {spec.name!r} in the group {group!r}, which {owners[other]} has "
                    f"already in the group {other!r}; rename it, or give the group the name {other!r}, whose place it "
                    "then takes"
                )
    return makers


def may_read_numbers(makers: Mapping[str, MetricMaker]) -> bool:
    """Tell whether a metric is not vtune's own: only such a metric can read what an engine measures of its network."""
    return any(maker is not METRICS.get(group) for group, maker in makers.items())


def metric_specs(makers: Mapping[str, MetricMaker]) -> dict[str, MetricSpec]:
    """Return what the makers can measure, by the name of the metric. :raises EngineError: a maker does not say it."""
    return {name: spec for specs in _specs_by_group(makers).values() for name, spec in specs.items()}


def _specs_by_group(makers: Mapping[str, MetricMaker]) -> dict[str, dict[str, MetricSpec]]:
    return {
        group: {spec.name: spec for spec in _specs(f"the metrics {group!r}", maker)} for group, maker in makers.items()
    }


def _specs(title: str, maker: MetricMaker) -> Sequence[MetricSpec]:
    specs = getattr(maker, "specs", None)
    if not isinstance(specs, list | tuple) or not all(isinstance(spec, MetricSpec) for spec in specs):
        raise EngineError(f"{title} do not say what they measure: give their class `specs = (MetricSpec(...),)`")
    return specs
