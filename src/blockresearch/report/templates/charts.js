// The charts of a report: plots side by side, with one legend for all of them.
"use strict";
(async () => {
  const { element } = page;
  for (const figure of document.querySelectorAll(".chart-figure")) {
    let chart;
    try {
      chart = await page.unpack(figure.querySelector("script").textContent);
    } catch {
      continue;
    }
    const place = figure.querySelector(".live-part");
    figure.classList.add("live");
    const legend = element("ul", { className: "chart-legend" });
    const panels = element("div", { className: `charts cols-${Math.min(chart.cols, chart.panels.length)}` });
    place.append(legend, panels);
    const drawn = chart.panels.map((panel) => page.chart(panels, {
      title: page.label(panel.title),
      x: { ...panel.x, label: page.label(panel.x.label) },
      y: { ...panel.y, label: page.label(panel.y.label) },
      series: panel.series.map((series) => ({
        ...series, label: page.label(series.label),
        steps: series.kind === "steps", filled: series.kind === "steps" && panel.series.length < 3,
        points: series.kind === "points" && "only",
      })),
      marks: panel.marks.map((mark) => ({ ...mark, label: page.label(mark.label) })),
    }, chart.name));
    page.chartLegend(legend, drawn);
    const drawing = figure.querySelector(".static");
    place.append(element("p", { className: "exports" }, [
      page.button(say("CSV"), () => page.saveCsv(chart.name, drawn.flatMap((one) => [[one.title], ...one.rows()]))),
      page.button(say("SVG"), () => page.saveSvg(chart.name, drawing.cloneNode(true)))]));
    figure.dataset.ready = "yes";
  }
})();
