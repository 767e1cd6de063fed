// A chart as an SVG file: the curves, scales and colors that the page shows.
"use strict";
(() => {
  const { svg } = page;
  const WIDTH = 560, HEIGHT = 340, LEFT = 70, RIGHT = 16, TOP = 30, BOTTOM = 46, FONT = 12;

  // Values of ticks: 1, 2, 5 times powers of ten; on a logarithmic axis of many decades only these powers.
  const ticks = ({ min, max, log }) => {
    if (log) {
      const decades = Math.log10(max / min);
      const steps = decades > 3 ? [1] : decades > 1.3 ? [1, 3] : [1, 2, 3, 5, 7];
      const every = Math.max(1, Math.ceil(decades / 7));
      const found = [];
      for (let power = Math.floor(Math.log10(min)); power <= Math.ceil(Math.log10(max)); power += 1) {
        if (power % every === 0) found.push(...steps.map((step) => step * 10 ** power));
      }
      return found.filter((value) => value >= min && value <= max);
    }
    const rough = (max - min) / 6;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((each) => each * power).find((each) => each >= rough);
    const first = Math.ceil(min / step);
    return Array.from({ length: Math.floor(max / step) - first + 1 }, (_, at) => (first + at) * step);
  };
  const placed = ({ min, max, log }, from, to) => (value) =>
    from + (to - from) * (log ? Math.log(value / min) / Math.log(max / min) : (value - min) / (max - min));

  const curve = (one, x, y, scales) => {
    const color = page.ink(one.color);
    const points = one.x.map((value, at) => [value, one.y[at]])
      .filter(([, value]) => value !== null && value !== undefined && (!scales.y.log || value > 0))
      .map(([value, other]) => [x(value), y(Math.max(other, scales.y.min))].map((place) => place.toFixed(1)));
    if (one.points === "only") {
      return svg("path", { d: points.map(([left, top]) => `M${left} ${top}h0`).join(""), stroke: color, "stroke-width": 4, "stroke-linecap": "round" });
    }
    const line = points.map(([left, top], at) =>
      (at === 0 ? `M${left} ${top}` : one.steps ? `H${left}V${top}` : `L${left} ${top}`)).join("");
    return svg("path", { d: line, fill: "none", stroke: color, "stroke-width": 1.6, "stroke-dasharray": one.dash ? "6 4" : "none" });
  };

  // `chart` is what page.chart returned.
  page.chartPicture = (chart) => {
    const scales = chart.scales();
    const x = placed(scales.x, LEFT, WIDTH - RIGHT), y = placed(scales.y, HEIGHT - BOTTOM, TOP);
    const [text, line] = [page.variable("--text"), page.variable("--line")];
    const label = (attributes, content) => svg("text", { fill: text, ...attributes }, [content]);
    const marks = chart.marks.filter((mark) => {
      const { min, max } = mark.x === undefined ? scales.y : scales.x;
      const at = mark.x === undefined ? mark.y : mark.x;
      return at >= min && at <= max;
    });
    const shown = chart.shown();
    const entries = [...shown.map((one) => [one, one.dash ? "6 4" : "none"]), ...marks.filter((mark) => mark.label).map((mark) => [mark, "2 4"])];
    return svg("svg", {
      width: WIDTH, height: HEIGHT + 18 * entries.length + 8, "font-size": FONT, "font-family": "system-ui, sans-serif",
      role: "img", "aria-label": chart.title,
    }, [
      svg("rect", { width: "100%", height: "100%", fill: page.variable("--page") }),
      label({ x: LEFT, y: 18, "font-weight": "bold" }, chart.title),
      ...ticks(scales.x).flatMap((value) => [
        svg("path", { d: `M${x(value).toFixed(1)} ${TOP}V${HEIGHT - BOTTOM}`, stroke: line }),
        label({ x: x(value).toFixed(1), y: HEIGHT - BOTTOM + 16, "text-anchor": "middle" }, page.tick(value))]),
      ...ticks(scales.y).flatMap((value) => [
        svg("path", { d: `M${LEFT} ${y(value).toFixed(1)}H${WIDTH - RIGHT}`, stroke: line }),
        label({ x: LEFT - 6, y: (y(value) + 4).toFixed(1), "text-anchor": "end" }, page.tick(value))]),
      label({ x: (LEFT + WIDTH - RIGHT) / 2, y: HEIGHT - 10, "text-anchor": "middle" }, chart.labels.x),
      label({ transform: `translate(14,${(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)`, "text-anchor": "middle" }, chart.labels.y),
      ...marks.map((mark) => svg("path", {
        d: mark.x === undefined ? `M${LEFT} ${y(mark.y).toFixed(1)}H${WIDTH - RIGHT}` : `M${x(mark.x).toFixed(1)} ${TOP}V${HEIGHT - BOTTOM}`,
        stroke: page.ink(mark.color), "stroke-width": 1.5, "stroke-dasharray": "2 4",
      })),
      ...shown.map((one) => curve(one, x, y, scales)),
      ...entries.flatMap(([one, dash], at) => [
        svg("path", { d: `M${LEFT} ${HEIGHT + 18 * at + 4}h22`, stroke: page.ink(one.color), "stroke-width": 3, "stroke-dasharray": dash }),
        label({ x: LEFT + 30, y: HEIGHT + 18 * at + 8 }, one.label)]),
    ]);
  };
})();
