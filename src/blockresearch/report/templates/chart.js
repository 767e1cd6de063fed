// Curves and histograms, drawn by uPlot. Arrow keys move the cursor; the line below has the values.
//
// A chart: title, x and y ({label, log}), series ([{label, color, dash, points, steps}])
// and marks ([{label, color, x}] or [{label, color, y}]), lines across the whole plot. Returned are its
// parts for the legend, and its numbers.
"use strict";
(() => {
  const { element } = page;
  const FONT = '12px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif';

  const axis = (side, about, isWhole) => ({
    scale: side,
    // No ticks between whole numbers, such as layers.
    ...(isWhole && !about.log ? { incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 1e4, 1e5, 1e6] } : {}),
    label: about.label,
    labelFont: FONT, font: FONT, labelSize: 22, size: side === "y" ? 62 : 40,
    stroke: () => page.variable("--text"),
    grid: { stroke: () => page.variable("--line"), width: 1 },
    ticks: { stroke: () => page.variable("--line"), width: 1 },
    values: (_, splits) => splits.map((value) => (value === null ? null : page.tick(value))),
    // On a logarithmic axis powers of ten are enough, or 1, 2, 5 if the axis is short.
    ...(about.log ? { filter: (chart, splits) => {
      const { min, max } = chart.scales[side];
      const decades = Math.log10(max / min);
      const steps = decades > 3 ? [1] : decades > 1.3 ? [1, 3] : [1, 2, 3, 5, 7];
      return splits.map((value) => {
        const mantissa = value / 10 ** Math.floor(Math.log10(value) + 1e-9);
        return steps.some((step) => Math.abs(step - mantissa) < 1e-6) ? value : null;
      });
    } } : {}),
  });

  const marked = (marks) => (chart) => {
    const { ctx, bbox } = chart;
    ctx.save();
    for (const mark of marks) {
      const across = mark.y !== undefined;
      const at = Math.round(chart.valToPos(across ? mark.y : mark.x, across ? "y" : "x", true)) + 0.5;
      ctx.beginPath();
      ctx.setLineDash([2 * devicePixelRatio, 4 * devicePixelRatio]);
      ctx.strokeStyle = page.ink(mark.color);
      ctx.lineWidth = 1.5 * devicePixelRatio;
      if (across) { ctx.moveTo(bbox.left, at); ctx.lineTo(bbox.left + bbox.width, at); }
      else { ctx.moveTo(at, bbox.top); ctx.lineTo(at, bbox.top + bbox.height); }
      ctx.stroke();
    }
    ctx.restore();
  };

  // The range of a logarithmic axis: the values, without those far below the others.
  const range = (about) => (about.log ? (_, low, high) => {
    const top = high > 0 ? high : 1;
    const bottom = Math.max(low > 0 ? low : top / 10, about.least ?? 0);
    return bottom < top ? [bottom / 1.08, top * 1.08] : [bottom / 2, top * 2];
  } : undefined);

  page.chart = (place, about) => {
    const figure = element("div", { className: "chart" });
    const title = element("p", { className: "chart-title", textContent: about.title });
    const readout = element("p", { className: "readout", role: "status" });
    const tables = about.series.map((series) => [series.x, series.y]);
    const data = uPlot.join(tables);
    const series = about.series.map((one) => ({
      label: one.label,
      stroke: () => page.ink(one.color),
      width: one.points === "only" ? 0 : 1.6,
      dash: one.dash ? [6, 4] : undefined,
      spanGaps: true,
      paths: one.steps ? uPlot.paths.stepped({ align: 1 }) : one.points === "only" ? () => null : undefined,
      points: { show: Boolean(one.points), size: 5, stroke: () => page.ink(one.color), fill: () => page.ink(one.color) },
      fill: one.steps && one.filled ? () => `${one.color}55` : undefined,
    }));
    const scale = (side) => ({ time: false, distr: about[side].log ? 3 : 1, range: range(about[side]) });
    const width = () => Math.max(figure.clientWidth, 240);
    const tall = 250;
    let chart = null;
    const announce = (at) => {
      if (at === null || at === undefined) { readout.textContent = ""; return; }
      const values = about.series.flatMap((one, place) => {
        const value = data[place + 1][at];
        return value === null || value === undefined || !chart.series[place + 1].show
          ? [] : [`${one.label}: ${page.number(value)}`];
      });
      readout.textContent = `${about.x.label}: ${page.tick(data[0][at])}; ${values.join("; ")}`;
    };
    const draw = () => {
      const hidden = chart ? chart.series.slice(1).map((one) => !one.show) : about.series.map(() => false);
      chart?.destroy();
      chart = new uPlot({
        width: width(), height: tall,
        legend: { show: false },
        cursor: { drag: { x: false, y: false }, points: { size: 7 } },
        scales: { x: scale("x"), y: scale("y") },
        axes: [axis("x", about.x, data[0].every(Number.isInteger)), axis("y", about.y, false)],
        series: [{}, ...series.map((one, place) => ({ ...one, show: !hidden[place] }))],
        hooks: {
          draw: [marked(about.marks || [])],
          setCursor: [(one) => announce(one.cursor.idx)],
        },
      }, data, figure);
      chart.over.setAttribute("aria-hidden", "true");
    };

    const box = element("div", {
      tabIndex: 0, className: "chart-box", role: "group",
      "aria-label": say("{title}: {y} by {x}. Arrow keys move the cursor.", { title: about.title, x: about.x.label, y: about.y.label }),
    }, [figure]);
    let at = -1;
    box.addEventListener("keydown", (event) => {
      const last = data[0].length - 1;
      const next = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: last }[event.key];
      if (next === undefined) return;
      event.preventDefault();
      at = Math.min(Math.max(next, 0), last);
      const top = about.series.map((_, one) => data[one + 1][at]).find((value) => value !== null && value !== undefined);
      chart.setCursor({ left: chart.valToPos(data[0][at], "x"), top: top === undefined ? 0 : chart.valToPos(top, "y") });
      announce(at);
    });
    const rows = () => [
      [about.x.label, ...about.series.map((one) => one.label)],
      ...data[0].map((x, row) => [x, ...about.series.map((_, one) => data[one + 1][row])])];
    place.append(element("div", { className: "chart-panel" }, [title, box, readout]));
    page.inEachScheme(draw);
    let before = width();
    new ResizeObserver(() => {
      if (width() === before) return;
      before = width();
      chart.setSize({ width: before, height: tall });
    }).observe(box);
    return {
      title: about.title, rows, series: about.series, marks: about.marks || [],
      labels: { x: about.x.label, y: about.y.label },
      // The curves that are not hidden, and the ends of the axes.
      shown: () => about.series.filter((_, place) => chart.series[place + 1].show),
      scales: () => Object.fromEntries(["x", "y"].map((side) =>
        [side, { min: chart.scales[side].min, max: chart.scales[side].max, log: Boolean(about[side].log) }])),
      // Show the curve of a label alone, or all of them.
      isolate: (label) => about.series.forEach((one, place) =>
        chart.setSeries(place + 1, { show: label === null || one.label === label })),
    };
  };

  const line = ({ color, dash }) => {
    const stroke = page.svg("line", { x1: 0, x2: 22, y1: 5, y2: 5, "stroke-width": 3 });
    if (dash) stroke.setAttribute("stroke-dasharray", dash === true ? "5 4" : dash);
    page.inEachScheme(() => stroke.setAttribute("stroke", page.ink(color)));
    return page.svg("svg", { class: "line", "aria-hidden": "true", viewBox: "0 0 22 10" }, [stroke]);
  };

  // The legend of charts: a click shows a curve alone; a second click shows all again.
  page.chartLegend = (legend, charts) => {
    const curves = new Map(charts.flatMap((chart) => chart.series.map((one) => [one.label, one])));
    const marks = new Map(charts.flatMap((chart) => chart.marks.filter((mark) => mark.label).map((mark) => [mark.label, mark])));
    const buttons = [...curves].map(([label, one]) => {
      const button = page.button(label, () => {
        const isAlone = button.getAttribute("aria-pressed") === "true";
        for (const chart of charts) chart.isolate(isAlone ? null : label);
        for (const other of buttons) other.setAttribute("aria-pressed", String(!isAlone && other === button));
      });
      button.setAttribute("aria-pressed", "false");
      button.title = say("Click: show this curve alone; click again: show all");
      button.prepend(line(one));
      return button;
    });
    legend.replaceChildren(
      ...buttons.map((button) => element("li", {}, [button])),
      ...[...marks].map(([label, mark]) => element("li", {}, [line({ ...mark, dash: "2 4" }), label])));
  };
})();
