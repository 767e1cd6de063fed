// Models over relative depth: a small chart for each kind of matrix, one scale for all models, and the
// places where they differ most. Text from a model is never more than text.
"use strict";
globalThis.depth = (() => {
  const SVG = "http://www.w3.org/2000/svg";
  const WIDTH = 300, HEIGHT = 150, LEFT = 52, BOTTOM = 22, TOP = 8, RIGHT = 8;
  const COLORS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a6a00", "#555555"];
  const DASHES = ["", "6 3", "2 2", "8 3 2 3"];

  const element = (tag, properties = {}, children = []) => {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  };
  const svg = (tag, attributes = {}, text = "") => {
    const made = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    if (text) made.textContent = text;
    return made;
  };
  const short = (value) => {
    const size = Math.abs(value);
    const text = size !== 0 && (size < 1e-3 || size >= 1e5) ? value.toExponential(1) : String(Number(value.toPrecision(3)));
    return text.replace("-", "−");
  };
  const key = (column) => `${column.component} ${column.label}`;
  const at = (column, place) => (column.count > 1 ? column.layers[place] / (column.count - 1) : 0);
  const line = (place) => ({ color: COLORS[place % COLORS.length], dash: DASHES[Math.floor(place / COLORS.length) % DASHES.length] });

  // The value of a column at a relative depth: of the nearest layer that has one.
  const nearest = (column, share, metric) => {
    let best = null;
    column.layers.forEach((layer, place) => {
      const value = column[metric][place];
      if (value === null) return;
      const distance = Math.abs(at(column, place) - share);
      if (best === null || distance < best.distance) best = { distance, layer, value };
    });
    // Half a layer of the deeper model apart is another place.
    return best !== null && best.distance <= 0.5 / Math.max(1, column.count - 1) + 1e-9 ? best : null;
  };

  const legend = (names) => element("p", { className: "key" }, names.map((name, place) => {
    const { color, dash } = line(place);
    const mark = svg("svg", { width: 30, height: 10, "aria-hidden": "true" });
    mark.append(svg("line", { x1: 0, x2: 30, y1: 5, y2: 5, stroke: color, "stroke-width": 2.5, "stroke-dasharray": dash }));
    return element("span", {}, [mark, " ", element("bdi", { textContent: name })]);
  }));

  const chart = (title, columns, names, metric, isLog) => {
    const values = columns.flatMap((column) => (column ? column[metric] : [])).filter((value) => value !== null && (!isLog || value > 0));
    if (values.length === 0) return null;
    const scale = (value) => (isLog ? Math.log10(value) : value);
    let low = Math.min(...values.map(scale)), high = Math.max(...values.map(scale));
    const space = (high - low) * 0.06 || Math.abs(high) * 0.1 || 0.5;
    low = low >= 0 && low < space && !isLog ? 0 : low - space;
    high += space;
    const x = (share) => LEFT + share * (WIDTH - LEFT - RIGHT);
    const y = (value) => TOP + (1 - (scale(value) - low) / (high - low)) * (HEIGHT - TOP - BOTTOM);
    const picture = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "group", tabindex: 0, class: "small-chart",
      "aria-label": say("{title}. Arrow keys move over depth.", { title }) });
    const cursor = svg("line", { y1: TOP, y2: HEIGHT - BOTTOM, class: "cursor", visibility: "hidden" });
    const readout = element("p", { className: "readout" });
    readout.setAttribute("role", "status");
    let share = 0;
    const show = (wanted) => {
      share = Math.min(Math.max(wanted, 0), 1);
      for (const end of ["x1", "x2"]) cursor.setAttribute(end, x(share));
      cursor.setAttribute("visibility", "visible");
      readout.textContent = say("Relative depth {share}: {values}", {
        share: String(Number(share.toFixed(2))),
        values: columns.flatMap((column, place) => {
          const found = column && nearest(column, share, metric);
          return found ? [say("{name} {value} (layer {layer})", { name: names[place], value: short(found.value), layer: found.layer })] : [];
        }).join("; ") || "–",
      });
    };
    const step = 1 / Math.max(1, ...columns.map((column) => (column ? column.count - 1 : 1)));
    picture.addEventListener("pointermove", (event) => {
      const { left, width } = picture.getBoundingClientRect();
      show(((event.clientX - left) / width * WIDTH - LEFT) / (WIDTH - LEFT - RIGHT));
    });
    picture.addEventListener("keydown", (event) => {
      const next = { ArrowRight: share + step, ArrowLeft: share - step, Home: 0, End: 1 }[event.key];
      if (next === undefined) return;
      event.preventDefault();
      show(next);
    });
    picture.addEventListener("focus", () => show(share));
    for (const share of [0, 0.5, 1]) {
      const value = low + share * (high - low);
      const shown = isLog ? 10 ** value : value;
      const height = TOP + (1 - share) * (HEIGHT - TOP - BOTTOM);
      picture.append(svg("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: height, y2: height, class: "grid" }));
      picture.append(svg("text", { x: LEFT - 4, y: height + 4, "text-anchor": "end" }, short(shown)));
      picture.append(svg("text", { x: x(share), y: HEIGHT - 6, "text-anchor": share === 0 ? "start" : share === 1 ? "end" : "middle" }, String(share)));
    }
    columns.forEach((column, place) => {
      if (!column) return;
      const { color, dash } = line(place);
      const points = column.layers.map((_, layer) => [at(column, layer), column[metric][layer]])
        .filter(([, value]) => value !== null && (!isLog || value > 0))
        .map(([share, value]) => `${x(share).toFixed(1)},${y(value).toFixed(1)}`);
      picture.append(svg("polyline", { points: points.join(" "), fill: "none", stroke: color, "stroke-width": 2, "stroke-dasharray": dash }));
      if (points.length === 1) {
        const [cx, cy] = points[0].split(",");
        picture.append(svg("circle", { cx, cy, r: 3, fill: color }));
      }
    });
    picture.append(cursor);
    return element("figure", {}, [element("figcaption", { textContent: title }), picture, readout]);
  };

  // Where the models differ most from the first one: the same kind of matrix at the same relative depth.
  const differences = (names, profiles, metric) => {
    const [first, ...others] = profiles;
    const found = [];
    for (const column of first) {
      others.forEach((profile, place) => {
        const same = profile.find((other) => key(other) === key(column));
        if (!same) return;
        column.layers.forEach((layer, index) => {
          const mine = column[metric][index], theirs = nearest(same, at(column, index), metric);
          if (mine === null || theirs === null) return;
          const size = Math.max(Math.abs(mine), Math.abs(theirs.value));
          found.push({
            name: names[place + 1], column: key(column), layer, other: theirs.layer, mine, theirs: theirs.value,
            share: size > 0 ? Math.abs(theirs.value - mine) / size : 0,
          });
        });
      });
    }
    return found.sort((a, b) => b.share - a.share);
  };

  return { element, short, legend, chart, differences, key };
})();
