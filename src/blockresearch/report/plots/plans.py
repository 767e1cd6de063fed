"""Figure of report 50: the Pareto curve of the quantization plan."""

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from blockresearch.report.figures.pareto import CURVE, PLAN, UNIFORM, lossy
from blockresearch.report.plots.style import canvas, literal, plain_ticks


def pareto_figure(record: Mapping[str, Any]) -> Figure | None:
    """The curve, the plan and one format for all; None without a plan."""
    if "predicted" not in record:
        return None
    curve = lossy(record["curve"])
    figure, (panel,) = canvas(9, 4)
    panel.plot(
        [p["bits"] for p in curve],
        [p["error"] for p in curve],
        color=CURVE,
        label="least error for its size",
    )
    plan = record["predicted"]
    if plan["error"] > 0:
        panel.plot(plan["bits"], plan["error"], "o", color=PLAN, label="the plan")
    for each in lossy(record["uniform"]):
        panel.plot(each["bits"], each["error"], "o", color=UNIFORM, markersize=4)
        panel.annotate(literal(each["format"]), (each["bits"], each["error"]), fontsize=8)
    panel.set(xlabel="bits per weight", ylabel="summed relative squared error", yscale="log")
    panel.legend()
    plain_ticks(panel.yaxis, logarithmic=True)
    return figure
