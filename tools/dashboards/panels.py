"""Panels with this project's look: a title, a unit, thresholds and what to do when it is red.

Thresholds are `(from value, colour)` above a base, green unless said otherwise; their numbers are
those of helm/rules.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from grafana_foundation_sdk.builders import bargauge, common, prometheus, stat, table, timeseries
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.models import common as options
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

SOURCE: Final = models.DataSourceRef(type_val="prometheus", uid="$datasource")

Steps = Sequence[tuple[float, str]]


@dataclass(frozen=True, slots=True)
class Query:
    """One expression and how its series are called; `colour` fixes that of all its series.

    A `measure` is what others are compared with: a dashed line with nothing under it.
    """

    expr: str
    legend: str = ""
    colour: str = ""
    measure: bool = False


@dataclass(frozen=True, slots=True)
class Column:
    """A table's column of values: title, expression, unit, and thresholds where it has any."""

    title: str
    expr: str
    unit: str = "short"
    steps: Steps = ()


def stat_panel(
    title: str,
    description: str,
    query: Query,
    *,
    unit: str = "short",
    steps: Steps = (),
    base: str = "green",
    texts: Mapping[str, tuple[str, str]] | None = None,
    none: str = "",
    spark: bool = True,
    width: int = 4,
    height: int = 4,
) -> stat.Panel:
    """One number; `texts` words some values: `{"0": ("closed", "green")}`; `none` words no data."""
    panel = (
        stat.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .span(width)
        .height(height)
        .unit(unit)
        .thresholds(_thresholds(steps, base))
        .color_scheme(builders.FieldColor().mode(models.FieldColorModeId.THRESHOLDS))
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .graph_mode(options.BigValueGraphMode.AREA if spark else options.BigValueGraphMode.NONE)
        .color_mode(options.BigValueColorMode.VALUE)
        .text_mode(options.BigValueTextMode.AUTO)
        .with_target(_target(query, "A"))
    )
    if none:
        panel.no_value(none)
    if texts:
        panel.mappings([_mapping(texts)])
    return panel


def series_panel(
    title: str,
    description: str,
    *queries: Query,
    unit: str = "short",
    steps: Steps = (),
    stacked: bool = False,
    width: int = 8,
    height: int = 8,
) -> timeseries.Panel:
    """Lines over time; with `steps`, a dashed line at each threshold."""
    panel = (
        timeseries.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .span(width)
        .height(height)
        .unit(unit)
        .thresholds(_thresholds(steps))
        .color_scheme(builders.FieldColor().mode(models.FieldColorModeId.PALETTE_CLASSIC))
        .line_width(1)
        .fill_opacity(40 if stacked else 8)
        .show_points(options.VisibilityMode.NEVER)
        .legend(
            common.VizLegendOptions()
            .display_mode(options.LegendDisplayMode.LIST)
            .placement(options.LegendPlacement.BOTTOM)
            .show_legend(True)
            .calcs([])
        )
        .tooltip(
            common.VizTooltipOptions()
            .mode(options.TooltipDisplayMode.MULTI)
            .sort(options.SortOrder.DESCENDING)
        )
        .axis_soft_min(0)
    )
    if stacked:
        panel.stacking(common.StackingConfig().mode(options.StackingMode.NORMAL))
    if steps:
        panel.thresholds_style(
            common.GraphThresholdsStyleConfig().mode(options.GraphTresholdsStyleMode.DASHED)
        )
    for index, query in enumerate(queries):
        ref = chr(ord("A") + index)
        panel.with_target(_target(query, ref))
        looks = [_fixed(query.colour)] if query.colour else []
        if query.measure:
            looks += [
                models.DynamicConfigValue("custom.fillOpacity", 0),
                models.DynamicConfigValue("custom.lineStyle", {"fill": "dash", "dash": [10, 10]}),
            ]
        if looks:
            panel.override_by_query(ref, looks)
    return panel


def bars_panel(
    title: str,
    description: str,
    query: Query,
    *,
    unit: str,
    steps: Steps,
    most: float,
    links: Sequence[builders.DashboardLink],
) -> bargauge.Panel:
    """One bar for each series, as things are now."""
    return (
        bargauge.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .span(12)
        .height(9)
        .unit(unit)
        .min(0)
        .max(most)
        .thresholds(_thresholds(steps))
        .color_scheme(builders.FieldColor().mode(models.FieldColorModeId.THRESHOLDS))
        .orientation(options.VizOrientation.HORIZONTAL)
        .display_mode(options.BarGaugeDisplayMode.BASIC)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .data_links(list(links))
        .with_target(_target(query, "A", instant=True))
    )


def table_panel(
    title: str,
    description: str,
    columns: Sequence[Column],
    *,
    keys: Mapping[str, str],
    sort: str,
    descending: bool = True,
    width: int = 12,
    height: int = 9,
    links: Sequence[builders.DashboardLink] = (),
) -> table.Panel:
    """A row for each set of the labels `keys` (label: title), a column for each expression."""
    refs = [chr(ord("A") + index) for index in range(len(columns))]
    panel = (
        table.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .span(width)
        .height(height)
        .thresholds(_thresholds(()))
        .sort_by([common.TableSortByFieldState().display_name(sort).desc(descending)])
    )
    for ref, column in zip(refs, columns, strict=True):
        panel.with_target(_target(Query(column.expr), ref, instant=True, table=True))
        shown = [models.DynamicConfigValue("unit", column.unit)]
        if column.steps:
            shown += [
                models.DynamicConfigValue("thresholds", _thresholds(column.steps).build()),
                models.DynamicConfigValue("custom.cellOptions", {"type": "color-text"}),
            ]
        panel.override_by_name(column.title, shown)
    for label, heading in keys.items():
        if links and label == "org":
            found = [link.build() for link in links]
            panel.override_by_name(heading, [models.DynamicConfigValue("links", found)])
    values = [f"Value #{ref}" for ref in refs] if len(refs) > 1 else ["Value"]
    titles = dict(keys) | dict(zip(values, (column.title for column in columns), strict=True))
    panel.with_transformation(models.DataTransformerConfig(id_val="merge", options={}))
    panel.with_transformation(
        models.DataTransformerConfig(
            id_val="organize",
            options={
                "excludeByName": {"Time": True},
                "indexByName": {name: index for index, name in enumerate(titles)},
                "renameByName": titles,
            },
        )
    )
    return panel


def _target(
    query: Query, ref: str, *, instant: bool = False, table: bool = False
) -> prometheus.Dataquery:
    target = prometheus.Dataquery().datasource(SOURCE).expr(query.expr).ref_id(ref)
    target.format(PromQueryFormat.TABLE if table else PromQueryFormat.TIME_SERIES)
    if not table:  # where several clusters are shown, each has a series of its own
        target.legend_format(f"{query.legend} {{{{cluster}}}}".strip())
    return target.instant() if instant else target.range()


def _thresholds(steps: Steps, base: str = "green") -> builders.ThresholdsConfig:
    return (
        builders.ThresholdsConfig()
        .mode(models.ThresholdsMode.ABSOLUTE)
        .steps(
            [
                models.Threshold(value=None, color=base),
                *(models.Threshold(value=value, color=colour) for value, colour in steps),
            ]
        )
    )


def _mapping(texts: Mapping[str, tuple[str, str]]) -> models.ValueMap:
    return models.ValueMap(
        options={
            value: models.ValueMappingResult(text=text, color=colour, index=index)
            for index, (value, (text, colour)) in enumerate(texts.items())
        }
    )


def _fixed(colour: str) -> models.DynamicConfigValue:
    return models.DynamicConfigValue("color", {"mode": "fixed", "fixedColor": colour})
