// What is known of one matrix: its histogram, spectrum, largest weights, formats and row.
"use strict";
(() => {
  const { element } = page;
  const BLUE = "#0072b2", GRAY = "#777777", ORANGE = "#d55e00";

  const small = (caption, heads, rows) => element("div", {
    className: "scroll", tabIndex: 0, role: "region", "aria-label": caption,
  }, [element("table", {}, [
    element("caption", { textContent: caption }),
    element("thead", {}, [element("tr", {}, heads.map((head) => element("th", { scope: "col", textContent: head })))]),
    element("tbody", {}, rows.map((row) => element("tr", {}, row.map((value) => element("td", { textContent: value }))))),
  ])]);

  const histogram = (one, row) => {
    const [low, high, below, above, ...counts] = one;
    const width = (high - low) / counts.length;
    const edges = counts.map((_, bin) => low + bin * width);
    const total = counts.reduce((sum, count) => sum + count, below + above);
    // A curve of the normal distribution, only if it is not below one weight a bin.
    const expected = edges.map((edge) => total * width / (row.std * Math.sqrt(2 * Math.PI)) *
      Math.exp(-(((edge + width / 2 - row.mean) / row.std) ** 2) / 2));
    const beside = below + above
      ? say(" ({below} below and {above} above the plot)", { below: page.whole(below), above: page.whole(above) }) : "";
    return {
      title: `${say("Distribution of the stored values")}${beside}`,
      x: { label: say("weight") }, y: { label: say("weights per bin"), log: true, least: 0.5 },
      series: [
        { label: say("stored values"), color: BLUE, steps: true, filled: true, x: [...edges, high],
          y: [...counts, counts.at(-1)].map((count) => count || null) },
        { label: say("normal distribution"), color: GRAY, dash: true, x: edges.map((edge) => edge + width / 2),
          y: expected.map((count) => (count >= 0.5 ? count : null)) },
      ],
    };
  };

  const spectrum = (numbers, values, edge, middle, label) => {
    const least = Math.max(...values) / 1000;
    const kept = (list) => list.map((value) => (value > 0 ? value : null));
    return {
      title: say("Singular values"),
      x: { label: say("number of the singular value"), log: true }, y: { label: say("singular value σ"), log: true, least },
      series: [
        { label: say("this matrix"), color: BLUE, x: numbers, y: kept(values) },
        ...(middle.length ? [{ label: say("median of {label}", { label }), color: ORANGE, dash: true, x: numbers, y: kept(middle) }] : []),
      ],
      marks: edge > least ? [{ label: say("noise edge"), color: GRAY, y: edge }] : [],
    };
  };

  // The values of the matrices of one cell; a click opens one of them.
  const strip = (values, chosen, open) => {
    const known = values.filter((value) => value !== null);
    const [low, high] = [Math.min(...known), Math.max(...known)];
    const canvas = element("canvas", { width: 720, height: 54, className: "strip" });
    canvas.setAttribute("aria-hidden", "true");
    const x = (place) => 8 + place * 704 / Math.max(values.length - 1, 1);
    const draw = () => {
      const context = canvas.getContext("2d");
      context.clearRect(0, 0, 720, 54);
      values.forEach((value, place) => {
        if (value === null) return;
        context.fillStyle = place === chosen ? page.ink(ORANGE) : page.ink(BLUE);
        const y = high > low ? 48 - (value - low) / (high - low) * 42 : 27;
        context.fillRect(x(place) - 2, y - 2, 4, 4);
        if (place === chosen) context.fillRect(x(place) - 0.5, 0, 1, 54);
      });
    };
    page.inEachScheme(draw);
    canvas.addEventListener("click", (event) => {
      const at = event.offsetX / canvas.clientWidth * 720;
      open(Math.min(Math.max(Math.round((at - 8) / 704 * (values.length - 1)), 0), values.length - 1));
    });
    return canvas;
  };

  // `about` is the piece `map`; `map` what is drawn of it. Returns open(cell, matrix).
  page.tensorPanel = ({ place, about, closed }) => {
    const detail = async (matrix) => {
      const piece = await page.piece(`details-${Math.floor(matrix / about.size)}`);
      return { piece, row: matrix % about.size };
    };
    const python = (one) => [
      "import pandas as pd", "",
      `folder = ${JSON.stringify(about.folder)}`,
      `name = ${JSON.stringify(one.name)}`,
      'at = [("param_name", "==", name)]',
      'matrix = pd.read_parquet(f"{folder}/matrices.parquet", filters=at)',
      'spectrum = pd.read_parquet(f"{folder}/spectra.parquet", filters=at)', ""].join("\n");
    const close = () => {
      place.hidden = true;
      page.toAddress({ tensor: "", slice: "" });
      closed();
    };
    place.addEventListener("keydown", (event) => { if (event.key === "Escape") close(); });

    let wanted = 0;
    // Show a matrix; `cell` is {label, middle, matrices, values, metric}, or null outside the map.
    const open = async (matrix, cell, names) => {
      wanted += 1;
      const mine = wanted;
      let piece, row;
      try {
        ({ piece, row } = await detail(matrix));
      } catch {
        place.hidden = false;
        place.replaceChildren(element("p", { className: "problem", role: "alert", textContent: say("The details of this matrix could not be loaded; matrices.parquet and spectra.parquet contain them.") }));
        return;
      }
      if (mine !== wanted) return;
      const one = { name: names.tensor(matrix), slice: names.slice(matrix) };
      const values = Object.fromEntries(Object.entries(piece.values).map(([key, list]) => [key, list[row]]));
      const heading = element("h3", { tabIndex: -1 }, [page.isolated(one.name), one.slice ? ` ${one.slice}` : ""]);
      const [rows, cols] = piece.shapes[row];
      const children = [
        heading,
        element("p", { className: "what", textContent: say("{rows} × {cols}", { rows: page.whole(rows), cols: page.whole(cols) }) }),
        element("p", { className: "exports" }, [
          page.copyButton(say("Copy name"), () => one.name),
          page.copyButton(say("Copy Python"), () => python(one)),
          page.button(say("Show its row"), () => {
            page.showRow?.(one.name);
            document.getElementById("parameters").scrollIntoView();
          }),
          page.button(say("Close"), close)]),
      ];
      if (cell && cell.matrices.length > 1) {
        const choose = (at) => open(cell.matrices[at], cell, names).then(() => place.querySelector("select")?.focus());
        children.push(
          element("div", { className: "controls" }, [page.select(
            say("Matrix (one of {count} in this cell)", { count: page.whole(cell.matrices.length) }),
            cell.matrices.map((other, at) => [String(at), `${names.tensor(other)} ${names.slice(other)}`.trim()]),
            String(cell.matrices.indexOf(matrix)), (at) => choose(Number(at)))]));
        if (cell.values) {
          const label = say("{metric} of the matrices in this cell; click one to open it", { metric: say(cell.metric.label) });
          children.push(element("p", { className: "unit", textContent: label }),
            strip(cell.values, cell.matrices.indexOf(matrix), choose));
        }
      }
      const charts = element("div", { className: "charts" });
      children.push(charts);
      const formats = about.formats.filter(({ key }) => values[key] !== null && values[key] !== undefined);
      const [weights, atRows, atCols] = piece.top[row];
      const tables = element("div", { className: "tables" });
      if (weights.length) {
        tables.append(small(say("Largest weights"), [say("weight"), say("|w| / rms"), say("row"), say("column")],
          weights.map((weight, at) => [
            page.number(weight), page.number(Math.abs(weight) / values.rms, 3), page.whole(atRows[at]), page.whole(atCols[at])])));
      }
      if (formats.length) {
        tables.append(small(say("Rounding to low-bit formats"), [say("format"), say("bits"), say("dB"), say("error / rms")],
          formats.map(({ key, label, bits }) => [
            label, page.tick(bits), page.number(values[key], 3), `${page.number(100 * 10 ** (-values[key] / 20), 3)} %`])));
      }
      children.push(tables);
      children.push(element("details", {}, [
        element("summary", { textContent: say("All columns of this matrix") }),
        element("dl", { className: "columns-of-matrix" }, about.heads.filter(({ key }) => values[key] !== null).flatMap(
          ({ key, label, unit, anchor }) => [
            element("dt", {}, [element("a", { className: "term", href: `../glossary.html#${anchor}`, textContent: say(label) })]),
            element("dd", { textContent: `${page.number(values[key])}${unit ? ` ${unit}` : ""}` })])),
      ]));
      place.hidden = false;
      place.replaceChildren(...children);
      // A chart with its legend, and its numbers and picture as files.
      const show = (chart, name) => {
        const part = element("div", { className: "chart-panel" });
        charts.append(part);
        const drawn = page.chart(part, chart);
        const legend = element("ul", { className: "chart-legend" });
        page.chartLegend(legend, [drawn]);
        part.append(legend, element("p", { className: "exports" }, [
          page.button(say("CSV"), () => page.saveCsv(name, drawn.rows())),
          page.button(say("SVG"), () => page.saveSvg(name, page.chartPicture(drawn)))]));
      };
      if (piece.histograms[row] && values.std > 0) {
        show(histogram(piece.histograms[row], values), "histogram");
      } else {
        charts.append(element("p", { textContent: say("No histogram: only types of 16 bits or fewer have an exact one.") }));
      }
      if (piece.lengths[row]) {
        const [middle, label] = cell ? [cell.middle, cell.label] : [[], ""];
        show(spectrum(
          piece.positions[piece.lengths[row]], piece.spectra[row], values.mp_edge, middle, label), "spectrum");
      } else {
        charts.append(element("p", { textContent: say("No singular values were computed for this matrix.") }));
      }
      page.toAddress({ tensor: one.name, slice: one.slice });
      heading.focus({ preventScroll: true });
      place.scrollIntoView({ block: "nearest" });
    };
    return { open };
  };
})();
