// Grids of numbers: arrow keys move from cell to cell; the line below names the number.
"use strict";
(async () => {
  const { element, svg } = page;
  const HEAD = 92, HEIGHT = 24, LETTER = 7.4, FONT = 12;

  // Room at the right for the label of the last column, which leans over the edge.
  const LEAN = 62;

  // From this share of the scale on, black text is easier to read than white.
  const DARK_TEXT = 0.55;

  for (const figure of document.querySelectorAll(".grid-figure")) {
    let grid;
    try {
      grid = await page.unpack(figure.querySelector("script").textContent);
    } catch {
      continue;
    }
    const { values } = grid;
    const [title, unit] = [grid.title, grid.unit].map(page.label);
    const [rows, columns] = [grid.rows, grid.columns].map((labels) => labels.map(page.label));
    const known = values.flat().filter((value) => value !== null);
    const [low, high] = [Math.min(...known), Math.max(...known)];
    const frame = element("div", { className: "map" });
    const status = element("p", { className: "status", role: "status" });
    const sentence = (row, at) => (values[row][at] === null
      ? say("{row}, {column}: no value", { row: rows[row], column: columns[at] })
      : say("{row}, {column}: {value} {unit}", { row: rows[row], column: columns[at], value: values[row][at].toFixed(1), unit }));
    const written = (content, attributes) => svg("text", { class: "label", "font-size": FONT, ...attributes }, [content]);

    const draw = () => {
      const left = 10 + LETTER * Math.max(...rows.map((row) => row.length));
      const width = Math.min(Math.max(Math.floor((frame.clientWidth - left - LEAN) / columns.length), 36), 74);
      const tall = HEAD + rows.length * HEIGHT + 4;
      const names = svg("svg", { width: left, height: tall, class: "layers", "aria-hidden": "true" },
        rows.map((row, down) => written(row, { x: left - 6, y: HEAD + (down + 0.5) * HEIGHT + 4, "text-anchor": "end" })));
      const heads = svg("g", { role: "row" }, columns.map((column, at) => written(column, {
        transform: `translate(${(at + 0.4) * width},${HEAD - 6}) rotate(-40)`, role: "columnheader" })));
      const cells = rows.map((_, down) => svg("g", { role: "row" }, columns.flatMap((_, at) => {
        const value = values[down][at];
        const share = value === null ? 0 : high > low ? (value - low) / (high - low) : 0.5;
        const [x, y] = [at * width, HEAD + down * HEIGHT];
        const cell = svg("rect", {
          x, y, width: width - 1, height: HEIGHT - 1, role: "gridcell", tabindex: down + at === 0 ? 0 : -1, class: "cell",
          fill: value === null ? page.variable("--card") : page.colorAt("along", share),
          "aria-label": sentence(down, at), "data-row": down, "data-at": at,
        });
        return [cell, written(value === null ? "–" : value.toFixed(1), {
          x: x + width / 2, y: y + HEIGHT / 2 + 4, "text-anchor": "middle", "aria-hidden": "true", class: "number",
          fill: value === null ? page.variable("--text") : share >= DARK_TEXT ? "#000000" : "#ffffff" })];
      })));
      frame.replaceChildren(names, svg("svg", {
        width: columns.length * width + LEAN, height: tall, role: "grid", "aria-label": title,
        "aria-rowcount": rows.length + 1, "aria-colcount": columns.length,
      }, [heads, ...cells]));
    };

    const announce = ({ target }) => {
      if (target.matches(".cell")) status.textContent = target.getAttribute("aria-label");
    };
    frame.addEventListener("pointerover", announce);
    frame.addEventListener("focusin", announce);
    const MOVES = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    frame.addEventListener("keydown", (event) => {
      if (!(event.key in MOVES) || !event.target.matches(".cell")) return;
      event.preventDefault();
      const [row, at] = MOVES[event.key].map((step, side) => Number(event.target.dataset[side ? "at" : "row"]) + step);
      const next = frame.querySelector(`[data-row="${row}"][data-at="${at}"]`);
      if (!next) return;
      event.target.setAttribute("tabindex", -1);
      next.setAttribute("tabindex", 0);
      next.focus();
    });

    const drawing = figure.querySelector(".static");
    figure.querySelector(".live-part").append(
      element("p", { className: "chart-title", textContent: title }), frame, status,
      element("p", { className: "exports" }, [
        page.button(say("CSV"), () => page.saveCsv(grid.name, [["row", ...columns], ...rows.map((row, down) => [row, ...values[down]])])),
        page.button(say("SVG"), () => page.saveSvg(grid.name, drawing.cloneNode(true)))]));
    figure.classList.add("live");
    page.keepDrawn(frame, draw);
    figure.dataset.ready = "yes";
  }
})();
