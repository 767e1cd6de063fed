// A map of a model: layers down, kinds of matrices across. Arrow keys move, Enter opens a cell.
"use strict";
(() => {
  const { element, svg } = page;
  const LABELS = 46, HEAD = 84, FONT = 12;

  // Room at the right for the label of the last column, which leans over the edge.
  const LEAN = 50;

  // A text of the data: a message, or its translations by language.
  const text = (label) => (typeof label === "string" ? say(label) : page.label(label));

  // A map may have `color`, what colors show at first, and `none`, what a cell without a color is.
  // Columns are kinds of matrices, or what it has `across`. `open(cell)` is called with the number of a cell; without it cells only name their values. `key` sets
  // the address and the patterns of one map apart from those of others on the page.
  // Returns `choose(cell)`, `focusChosen()`.
  page.layerMap = ({ place, map, name, open = null, key = "" }) => {
    const [controls, frame, status, legend] = ["controls", "map", "status", "legend"].map((kind) =>
      place.querySelector(`.${kind}`));
    const { cells, components, metrics } = map;
    const columns = map.columns.map((column) => ({ ...column, label: page.label(column.label) }));
    const known = (part, list, other) => {
      const found = page.inAddress(key + part);
      return list.includes(found) ? found : other;
    };
    const color = map.color ?? "median";
    const noValue = `url(#${key}no-value)`;
    const state = {
      metric: known("metric", metrics.map((each) => each.key), metrics[0].key),
      color: known("color", ["median", "value"], color),
      component: known("component", components, components[0]),
      chosen: null,
    };
    const numbers = cells.layer.map((_, cell) => cell);
    const medians = (values) => columns.map((_, column) =>
      page.median(numbers.filter((cell) => cells.column[cell] === column).map((cell) => values[cell])));

    let shown = {};
    const prepared = () => {
      const metric = metrics.find((each) => each.key === state.metric);
      const component = components.indexOf(state.component);
      const own = columns.map((column, at) => ({ ...column, at })).filter((column) => column.component === component);
      const inside = numbers.filter((cell) => columns[cells.column[cell]].component === component);
      const first = Math.min(...inside.map((cell) => cells.layer[cell]));
      const last = Math.max(...inside.map((cell) => cells.layer[cell]));
      const values = map.middle[metric.key];
      const at = new Map(inside.map((cell) => [`${cells.layer[cell]} ${cells.column[cell]}`, cell]));
      return {
        metric, own, first, values, at,
        layers: last - first + 1,
        medians: medians(values),
        scale: state.color === "median"
          ? page.scaleAround(metric) : page.scaleAlong(metric, inside.map((cell) => values[cell])),
      };
    };

    const sentence = (layer, column) => {
      const { metric, values, at, own } = shown;
      const cell = at.get(`${layer} ${column}`);
      const { label } = columns[column];
      if (cell === undefined || values[cell] === null) {
        return cell === undefined
          ? say("Layer {layer}, {label}: no such matrix", { layer, label })
          : say("Layer {layer}, {label}: {metric} is missing", { layer, label, metric: text(metric.label) });
      }
      const others = numbers.filter((one) => cells.column[one] === column && values[one] !== null)
        .map((one) => values[one]).sort((a, b) => b - a);
      const middle = shown.medians[column];
      const against = metric.scale === "ratio" && middle > 0
        ? say("{ratio} × the median of its column ({middle})", { ratio: page.number(values[cell] / middle, 3), middle: page.number(middle) })
        : say("median of its column {middle}", { middle: page.number(middle) });
      const several = cells.count[cell] > 1 && map.low
        ? say(" (median of {count} matrices, {low} to {high})", {
          count: page.whole(cells.count[cell]),
          low: page.number(map.low[metric.key][cell]), high: page.number(map.high[metric.key][cell]),
        }) : "";
      return say("Layer {layer}, {label}: {metric} {value}{unit}{several}, {against}, number {place} of {count} from the highest", {
        layer, label, metric: text(metric.label), value: page.number(values[cell]), unit: metric.unit === "dB" ? " dB" : "",
        several, against, place: others.indexOf(values[cell]) + 1, count: others.length,
      });
    };

    const fill = (value, column) => shown.scale.color(value, shown.medians[column]) ?? noValue;
    const drawn = () => {
      shown = prepared();
      const { own, layers, first } = shown;
      const room = frame.clientWidth - LABELS - LEAN || 600;
      const width = Math.min(Math.max(Math.floor(room / own.length), 30), 74);
      const height = Math.min(Math.max(Math.floor(460 / layers), 9), 22);
      const tall = HEAD + layers * height + 4, wide = own.length * width + LEAN;
      const every = Math.ceil(FONT / height);
      const labels = svg("svg", { width: LABELS, height: tall, class: "layers", "aria-hidden": "true" });
      for (let row = 0; row < layers; row += every) {
        labels.append(svg("text", {
          x: LABELS - 6, y: HEAD + (row + 0.5) * height + 4, "text-anchor": "end", "font-size": FONT, class: "label",
        }, [String(first + row)]));
      }
      const heads = svg("g", { role: "row" }, own.map((column, at) => svg("text", {
        transform: `translate(${(at + 0.4) * width},${HEAD - 6}) rotate(-40)`, "font-size": FONT, class: "label",
        role: "columnheader",
      }, [column.label])));
      const rows = [];
      for (let row = 0; row < layers; row += 1) {
        rows.push(svg("g", { role: "row" }, own.flatMap((column, at) => {
          const cell = shown.at.get(`${first + row} ${column.at}`);
          const [x, y] = [at * width, HEAD + row * height];
          const made = svg("rect", {
            x, y, width: width - 1, height: height - (height > 10 ? 1 : 0.5), role: "gridcell", tabindex: -1,
            class: cell === undefined ? "cell missing" : "cell",
            fill: cell === undefined ? noValue : fill(shown.values[cell], column.at),
            "aria-label": sentence(first + row, column.at),
            "data-row": row, "data-at": at,
          });
          if (cell === undefined || cells.count[cell] < 2 || !map.low) return [made];
          // The smallest and the largest of the cell's matrices at its edges.
          const edge = Math.max(3, Math.round(width / 7));
          return [made, ...[["low", x], ["high", x + width - 1 - edge]].map(([end, left]) => svg("rect", {
            x: left, y, width: edge, height: height - 1, class: "edge", "aria-hidden": "true",
            fill: fill(map[end][shown.metric.key][cell], column.at),
          }))];
        })));
      }
      const grid = svg("svg", {
        width: wide, height: tall, role: "grid", class: "grid", "aria-label": say("{metric} of the {component} by layer and {columns}", {
          metric: text(shown.metric.label), component: state.component,
          columns: map.across ? text(map.across) : say("kind of matrix"),
        }),
        "aria-rowcount": layers + 1, "aria-colcount": own.length,
      }, [hatching(), heads, ...rows]);
      return { labels, grid };
    };
    const hatching = () => svg("defs", {}, [svg("pattern", {
      id: `${key}no-value`, width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)",
    }, [
      svg("rect", { width: 6, height: 6, fill: page.variable("--page") }),
      svg("rect", { width: 1.5, height: 6, fill: page.isDark() ? "#5a626c" : "#b4bac2" }),
    ])]);

    const scaleTitle = () => {
      const title = [shown.metric.label, shown.metric.unit].filter(Boolean).map(text).join(", ");
      return state.color === "median" ? say("{metric}, relative to the median of the column", { metric: title }) : title;
    };

    let parts = {};
    const cellAt = (row, at) => parts.grid.querySelector(`[data-row="${row}"][data-at="${at}"]`);
    const roving = (rect, focus) => {
      for (const other of parts.grid.querySelectorAll('[tabindex="0"]')) other.setAttribute("tabindex", -1);
      rect.setAttribute("tabindex", 0);
      if (focus) rect.focus();
    };
    const announce = (rect) => { status.textContent = rect.getAttribute("aria-label"); };
    const numberOf = (rect) =>
      shown.at.get(`${shown.first + Number(rect.dataset.row)} ${shown.own[rect.dataset.at].at}`);
    const mark = () => {
      for (const other of parts.grid.querySelectorAll(".chosen")) other.classList.remove("chosen");
      if (state.chosen === null) return null;
      const at = shown.own.findIndex((column) => column.at === cells.column[state.chosen]);
      const rect = cellAt(cells.layer[state.chosen] - shown.first, at);
      if (rect) { rect.classList.add("chosen"); roving(rect, false); }
      return rect;
    };
    const draw = () => {
      parts = drawn();
      frame.replaceChildren(parts.labels, parts.grid);
      legend.replaceChildren(
        element("span", { className: "unit", textContent: scaleTitle() }),
        element("ul", {}, shown.scale.stops.map(([color, label]) => element("li", {}, [
          svg("svg", { class: "swatch", "aria-hidden": "true" }, [svg("rect", { width: "100%", height: "100%", fill: color })]),
          label]))),
        element("span", { className: "unit" }, [
          svg("svg", { class: "swatch", "aria-hidden": "true" }, [
            svg("rect", { width: "100%", height: "100%", fill: noValue })]),
          map.none ? text(map.none) : say("no value")]),
        ...(map.low ? [element("span", { className: "unit", textContent: say("Edges of a cell: smallest and largest of its matrices; middle: their median") })] : []));
      roving(cellAt(0, 0), false);
      mark();
    };
    const keep = () => page.toAddress({
      [`${key}metric`]: state.metric === metrics[0].key ? "" : state.metric,
      [`${key}color`]: state.color === color ? "" : state.color,
      [`${key}component`]: state.component === components[0] ? "" : state.component,
    });
    const change = (part) => (value) => { state[part] = value; keep(); draw(); };

    frame.addEventListener("pointerover", (event) => event.target.matches(".cell") && announce(event.target));
    frame.addEventListener("focusin", (event) => event.target.matches(".cell") && announce(event.target));
    const opened = (rect) => {
      const cell = numberOf(rect);
      if (cell === undefined || !open) return;
      state.chosen = cell;
      mark();
      open(cell);
    };
    frame.addEventListener("click", (event) => {
      if (!event.target.matches(".cell")) return;
      roving(event.target, false);
      opened(event.target);
    });
    const MOVES = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    frame.addEventListener("keydown", (event) => {
      if (!event.target.matches(".cell")) return;
      const [row, at] = [Number(event.target.dataset.row), Number(event.target.dataset.at)];
      let next = null;
      if (event.key in MOVES) next = cellAt(row + MOVES[event.key][0], at + MOVES[event.key][1]);
      else if (event.key === "Home") next = cellAt(event.ctrlKey ? 0 : row, 0);
      else if (event.key === "End") next = cellAt(event.ctrlKey ? shown.layers - 1 : row, shown.own.length - 1);
      else if (event.key === "Enter" || event.key === " ") opened(event.target);
      else return;
      event.preventDefault();
      if (next) roving(next, true);
    });

    controls.append(
      page.select(say("Metric"), metrics.map((each) => [each.key, text(each.label)]), state.metric, change("metric")),
      page.select(say("Color"), [["median", say("relative to the median of the column")], ["value", say("value")]], state.color, change("color")));
    const componentChoice = page.select(
      say("Component"), components.map((each) => [each, each]), state.component, change("component"));
    if (components.length > 1) controls.append(componentChoice);
    const rows = () => [
      ["component", "layer", "block", "matrices", ...metrics.map((each) => each.key)],
      ...numbers.map((cell) => [
        components[columns[cells.column[cell]].component], cells.layer[cell], columns[cells.column[cell]].label,
        cells.count[cell], ...metrics.map((each) => map.middle[each.key][cell])]),
    ];
    const picture = () => {
      const [wide, tall] = ["width", "height"].map((side) => Number(parts.grid.getAttribute(side)));
      const written = (x, y, content) => svg("text", { x, y, "font-size": FONT }, [content]);
      const clone = (part, x) => {
        const copy = part.cloneNode(true);
        copy.setAttribute("x", x);
        copy.setAttribute("y", 24);
        return copy;
      };
      const stops = shown.scale.stops.flatMap(([color, label], at) => [
        svg("rect", { x: 8 + at * 70, y: tall + 32, width: 12, height: 12, fill: color }),
        written(24 + at * 70, tall + 42, label)]);
      return svg("svg", {
        width: Math.max(LABELS + wide, 520), height: tall + 56, "font-family": "system-ui, sans-serif",
        fill: page.variable("--text"),
      }, [
        svg("rect", { width: "100%", height: "100%", fill: page.variable("--page") }),
        written(8, 18, `${name}: ${legend.querySelector(".unit").textContent}`),
        clone(parts.labels, 0), clone(parts.grid, LABELS), ...stops]);
    };
    place.querySelector(".exports").append(
      page.button(say("CSV"), () => page.saveCsv(`${name}-layers`, rows())),
      page.button(say("SVG"), () => page.saveSvg(`${name}-${state.metric}`, picture())),
      page.copyButton(say("Copy link"), () => location.href));

    page.keepDrawn(frame, draw);
    place.classList.add("live");
    frame.classList.toggle("opens", Boolean(open));
    return {
      // Mark a cell as open, in its component.
      choose: (cell) => {
        state.chosen = cell;
        const component = cell === null ? state.component : components[columns[cells.column[cell]].component];
        if (component !== state.component) {
          state.component = component;
          componentChoice.querySelector("select").value = component;
          keep();
          draw();
        } else {
          mark();
        }
      },
      focusChosen: () => mark()?.focus(),
    };
  };
})();
