// Charts with a row for each kind of matrix: bars, strokes and points on one axis. Up and down move
// from row to row, left and right from point to point; the line below has the values.
"use strict";
(async () => {
  const { element, svg } = page;
  const TOP = 6, BOTTOM = 20, RIGHT = 16, NOTE = 46, LETTER = 7.4, FONT = 12;

  const along = (scale, value) => {
    if (scale === "log") return Math.log10(value);
    return scale === "tails" && Math.abs(value) > 1 ? Math.sign(value) * (1 + Math.log10(Math.abs(value))) : value;
  };
  const placed = ({ scale, low, high }, value) => {
    const [first, at, last] = [low, value, high].map((each) => along(scale, each));
    return Math.min(Math.max((at - first) / (last - first), 0), 1);
  };
  const ink = (color) => (color ? page.ink(color) : page.variable("--text"));
  const written = (content, attributes) =>
    svg("text", { class: "label", "font-size": FONT, ...attributes }, [content]);

  // A panel: its drawing, the line of values below, and the keys.
  const drawPanel = (place, panel, height, names) => {
    const { span, rows, bars, strokes, notes } = panel;
    const title = page.label(panel.title), label = page.label(span.label);
    const texts = rows.map(page.label);
    const dots = rows.map(() => []);
    for (const [at, row] of (panel.points?.row ?? []).entries()) {
      dots[row].push({ value: panel.points.value[at], name: names[panel.points.name[at]] });
    }
    const frame = element("div", { className: "rows" });
    const readout = element("p", { className: "readout", role: "status" });
    const box = element("div", {
      tabIndex: 0, className: "chart-box", role: "group",
      "aria-label": panel.points
        ? say("{title}: {label} by row. Up and down choose a row, left and right a point, and Enter opens its matrix.", { title, label })
        : say("{title}: {label} by row. Up and down choose a row.", { title, label }),
    }, [frame]);
    const chosen = { row: -1, dot: -1 };
    let shape = {};

    const summary = (row) => {
      const parts = [...bars, ...strokes].filter((each) => each.values[row] !== null)
        .map((each) => `${page.label(each.label)} ${page.number(each.values[row])}`);
      if (notes.length) parts.push(page.label(notes[row]));
      const own = dots[row];
      if (own.length) {
        parts.push(say("{low} to {high}", { low: page.number(own[0].value), high: page.number(own[own.length - 1].value) }));
      }
      return `${texts[row]}: ${parts.join("; ") || say("no value")}`;
    };
    const choose = (row, dot) => {
      Object.assign(chosen, { row, dot });
      const found = dots[row][dot];
      readout.replaceChildren(summary(row), ...(found ? [". ", page.isolated(found.name), ` ${page.number(found.value)}`] : []));
      shape.band.setAttribute("y", TOP + row * height);
      shape.band.setAttribute("visibility", "visible");
      shape.ring.setAttribute("visibility", found ? "visible" : "hidden");
      if (found) {
        shape.ring.setAttribute("cx", shape.x(found.value));
        shape.ring.setAttribute("cy", TOP + (row + 0.5) * height);
      }
    };
    const open = () => {
      const found = dots[chosen.row]?.[chosen.dot];
      // The name of a matrix may have a part of its tensor behind it.
      if (found) location.href = `../index.html#${new URLSearchParams({ tensor: found.name.split(" ")[0] })}`;
    };

    const draw = () => {
      // Letters of Chinese are nearly twice as wide.
      const letters = (text) => [...text].reduce((sum, letter) => sum + (letter > "\u2e80" ? 1.7 : 1), 0);
      const left = 12 + LETTER * Math.max(...texts.map(letters));
      const wide = Math.max(frame.clientWidth, 240);
      const right = wide - RIGHT - (notes.length ? NOTE : 0), bottom = TOP + rows.length * height;
      const x = (value) => left + placed(span, value) * (right - left);
      const middle = (row) => TOP + (row + 0.5) * height;
      let free = 0;
      const ticks = span.ticks.flatMap((value) => {
        const at = x(value), text = page.tick(value), half = (LETTER * text.length) / 2;
        const line = svg("path", { d: `M${at} ${TOP}V${bottom}`, stroke: page.variable("--line") });
        if (at - half <= free) return [line];
        free = at + half + 4;
        return [line, written(text, { x: at, y: bottom + 15, "text-anchor": "middle" })];
      });
      const filled = rows.flatMap((_, row) => {
        let sum = 0;
        return bars.filter((bar) => bar.values[row] !== null).map((bar) => {
          const begin = x(sum);
          sum += bar.values[row];
          return svg("rect", {
            x: begin, y: middle(row) - height * 0.33, width: x(sum) - begin, height: height * 0.66,
            fill: page.ink(bar.color || panel.colors[row]),
          });
        });
      });
      const ends = rows.map((_, row) => x(bars.reduce((sum, bar) => sum + (bar.values[row] ?? 0), 0)));
      const points = dots.map((own, row) => svg("path", {
        d: own.map((dot) => `M${x(dot.value).toFixed(1)} ${middle(row)}h0`).join(""),
        stroke: page.ink(panel.colors[row]), "stroke-width": Math.min(7, height / 2), "stroke-linecap": "round",
        "stroke-opacity": 0.75,
      }));
      const lines = strokes.map((stroke) => svg("path", {
        d: stroke.values.map((value, row) => (value === null ? "" : `M${x(value).toFixed(1)} ${TOP + row * height + 2}v${height - 4}`)).join(""),
        stroke: ink(stroke.color), "stroke-width": 2,
      }));
      const band = svg("rect", { x: 0, width: "100%", height, class: "band", visibility: "hidden" });
      const ring = svg("circle", { r: 5, class: "ring", visibility: "hidden" });
      shape = { x, band, ring };
      frame.replaceChildren(svg("svg", { width: wide, height: bottom + BOTTOM, "aria-hidden": "true" }, [
        band, ...ticks, ...filled, ...points, ...lines, ring,
        ...texts.map((text, row) => written(text, { x: left - 6, y: middle(row) + 4, "text-anchor": "end" })),
        ...notes.map((note, row) => written(page.label(note), { x: ends[row] + 6, y: middle(row) + 4 })),
      ]));
      if (chosen.row >= 0) choose(chosen.row, chosen.dot);
    };

    // The row under the mouse, and its nearest point.
    const under = (event) => {
      const { left, top } = frame.getBoundingClientRect();
      const row = Math.min(Math.max(Math.floor((event.clientY - top - TOP) / height), 0), rows.length - 1);
      const far = dots[row].map((dot) => Math.abs(shape.x(dot.value) - event.clientX + left));
      const dot = far.indexOf(Math.min(...far));
      return [row, dot];
    };
    // A finger has no hover: the first touch names a point, the second opens its matrix.
    frame.addEventListener("pointermove", (event) => {
      if (event.pointerType !== "touch") choose(...under(event));
    });
    frame.addEventListener("click", (event) => {
      const [row, dot] = under(event);
      if (row === chosen.row && dot === chosen.dot) open();
      else choose(row, dot);
    });
    frame.classList.toggle("opens", Boolean(panel.points));
    box.addEventListener("keydown", (event) => {
      const { row, dot } = chosen;
      if (event.key === "Enter") { open(); return; }
      const last = (at) => dots[at].length - 1;
      const next = {
        ArrowDown: () => [Math.min(row + 1, rows.length - 1), -1],
        ArrowUp: () => [Math.max(row - 1, 0), -1],
        ArrowRight: () => [Math.max(row, 0), Math.min(dot + 1, last(Math.max(row, 0)))],
        ArrowLeft: () => [Math.max(row, 0), dot < 0 ? last(Math.max(row, 0)) : Math.max(dot - 1, 0)],
        Home: () => [0, -1],
        End: () => [rows.length - 1, -1],
      }[event.key];
      if (!next) return;
      event.preventDefault();
      choose(...next());
    });

    place.append(element("div", { className: "chart-panel" }, [
      element("p", { className: "chart-title", textContent: title }), box,
      element("p", { className: "axis-label", textContent: label }), readout]));
    page.keepDrawn(frame, draw);
    return () => (panel.points
      ? [[title], ["matrix", "row", label], ...dots.flatMap((own, row) => own.map((dot) => [dot.name, texts[row], dot.value]))]
      : [[title], ["row", ...[...bars, ...strokes].map((each) => page.label(each.label))],
        ...texts.map((text, row) => [text, ...[...bars, ...strokes].map((each) => each.values[row])])]);
  };

  for (const figure of document.querySelectorAll(".rows-figure")) {
    let chart;
    try {
      chart = await page.unpack(figure.querySelector("script").textContent);
    } catch {
      continue;
    }
    const names = page.names(chart.patterns, chart.names);
    const place = figure.querySelector(".live-part");
    figure.classList.add("live");
    const entries = new Map(chart.panels.flatMap((panel) => [...panel.bars.filter((bar) => bar.color), ...panel.strokes])
      .map((each) => [page.label(each.label), each.color]));
    const panels = element("div", { className: `charts cols-${Math.min(chart.cols, chart.panels.length)}` });
    place.append(element("ul", { className: "chart-legend" }, [...entries].map(([label, color]) => {
      const rect = svg("rect", { width: "100%", height: "100%" });
      page.inEachScheme(() => rect.setAttribute("fill", ink(color)));
      return element("li", {}, [svg("svg", { class: "swatch", "aria-hidden": "true" }, [rect]), label]);
    })), panels);
    const tables = chart.panels.map((panel) => drawPanel(panels, panel, chart.height, names));
    const drawing = figure.querySelector(".static");
    place.append(element("p", { className: "exports" }, [
      page.button(say("CSV"), () => page.saveCsv(chart.name, tables.flatMap((rows) => rows()))),
      page.button(say("SVG"), () => page.saveSvg(chart.name, drawing.cloneNode(true)))]));
    figure.dataset.ready = "yes";
  }
})();
