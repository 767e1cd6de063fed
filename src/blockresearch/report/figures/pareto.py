"""The Pareto curve of the quantization plan: bits per weight against the summed error."""

from collections.abc import Mapping
from typing import Any

from blockresearch.language.sentence import say
from blockresearch.report.figures.charts import Axis, Chart, Panel, Series, numbers, positive

CURVE, PLAN, UNIFORM = "#1f5fa8", "#b3261e", "#555555"


def pareto_chart(record: Mapping[str, Any]) -> Chart | None:
    """The curve, the plan and one format for all; None without a plan."""
    if "predicted" not in record:
        return None
    curve, uniform = lossy(record["curve"]), lossy(record["uniform"])
    series = [_series(say("least error for its size"), CURVE, curve)]
    series += [_series(each["format"], UNIFORM, [each], "points") for each in uniform]
    series += [_series(say("the plan"), PLAN, lossy([record["predicted"]]), "points")]
    panel = Panel(
        say("Error by bits per weight"),
        Axis(say("bits per weight of the linear layers, with scales")),
        Axis(say("summed relative squared error"), log=True),
        tuple(series),
    )
    return Chart("pareto", (panel,), cols=1)


def lossy(points: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Without those that lose nothing, or nothing but rounding, which a logarithmic axis omits."""
    return [point for point in points if point["error"] > 1e-9]


def _series(label: str, color: str, points: list[Mapping[str, Any]], kind: str = "line") -> Series:
    x, y = ([point[key] for point in points] for key in ("bits", "error"))
    return Series(label, color, numbers(x), positive(y), kind=kind)
