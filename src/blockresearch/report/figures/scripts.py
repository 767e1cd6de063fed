"""The scripts and style sheets of pages, files in report/templates; the rules hash them as well."""

BASE = ("elements.js", "numbers.js", "unpack.js", "address.js", "export.js")

TABLE = ("filter.js", "table.js")

CHART = ("vendor/uPlot.js", "chart.js")

# Each after those that it needs.
MODEL_SCRIPTS = (
    *BASE,
    "pieces.js",
    *TABLE,
    *CHART,
    "chart-picture.js",
    "scale.js",
    "layer-map.js",
    "tensor.js",
    "model.js",
    "parameters.js",
)

REPORT_TABLES = (*TABLE, "tables.js")

REPORT_CHARTS = (*CHART, "charts.js")

REPORT_MAP = ("token-map.js",)

REPORT_ROWS = ("pieces.js", "rows.js")

REPORT_GRID = ("scale.js", "value-grid.js")

REPORT_LAYERS = ("scale.js", "layer-map.js", "maps.js")

# Class of a figure -> the scripts that it needs beside BASE.
REPORT_FIGURES = {
    "table-figure": REPORT_TABLES,
    "chart-figure": REPORT_CHARTS,
    "token-figure": REPORT_MAP,
    "rows-figure": REPORT_ROWS,
    "grid-figure": REPORT_GRID,
    "map-figure": REPORT_LAYERS,
}

REPORT_SCRIPTS = tuple(
    dict.fromkeys((*BASE, *(name for names in REPORT_FIGURES.values() for name in names)))
)

STYLES = ("figures.css", "vendor/uPlot.css")
