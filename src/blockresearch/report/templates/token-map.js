// The map of tokens: hover names a token, a search finds some, a click shows the nearest ones.
"use strict";
(async () => {
  const { element, svg } = page;
  const GRID = 4095, MARGIN = 8, CELL = 16, MOST = 24;

  const drawMap = (figure, data) => {
    const place = figure.querySelector(".live-part");
    const ids = [];
    data.ids.reduce((sum, step) => { ids.push(sum + step); return sum + step; }, 0);
    const rowOf = new Map(ids.map((id, row) => [id, row]));
    const lowered = data.tokens.map((text) => text.toLowerCase());
    const colors = new Map(data.clusters.map((cluster) => [cluster.number, cluster.color]));
    const state = { hidden: new Set(), found: [], chosen: null };
    const text = (id) => (rowOf.has(id) ? data.tokens[rowOf.get(id)] : data.others[id]);

    const canvas = element("canvas", { className: "token-map", tabIndex: 0 });
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", say("Map of {count} tokens. Arrow keys move between tokens that were found.", {
      count: page.whole(ids.length) }));
    const status = element("p", { className: "status", role: "status" });
    const results = element("p", { className: "outside" });
    const near = element("p", { className: "outside" });
    const context = canvas.getContext("2d");
    let [wide, tall, grid] = [0, 0, new Map()];
    const x = (row) => MARGIN + data.x[row] / GRID * (wide - 2 * MARGIN);
    const y = (row) => tall - MARGIN - data.y[row] / GRID * (tall - 2 * MARGIN);
    const ring = (row, color, radius) => {
      context.beginPath();
      context.arc(x(row), y(row), radius, 0, 2 * Math.PI);
      context.lineWidth = 2;
      context.strokeStyle = color;
      context.stroke();
    };
    const draw = () => {
      wide = Math.max(place.clientWidth, 240);
      tall = Math.round(Math.min(wide * 0.62, 620));
      const dots = devicePixelRatio || 1;
      canvas.width = wide * dots;
      canvas.height = tall * dots;
      canvas.style.height = `${tall}px`;
      context.setTransform(dots, 0, 0, dots, 0, 0);
      context.fillStyle = page.variable("--page");
      context.fillRect(0, 0, wide, tall);
      const size = ids.length < 2000 ? 5 : ids.length < 15000 ? 3 : 1.6;
      grid = new Map();
      context.globalAlpha = state.found.length ? 0.25 : 0.7;
      const inks = new Map([...colors].map(([number, color]) => [number, page.ink(color)]));
      for (let row = 0; row < ids.length; row += 1) {
        if (state.hidden.has(data.cluster[row])) continue;
        context.fillStyle = inks.get(data.cluster[row]) ?? "#777777";
        context.fillRect(x(row) - size / 2, y(row) - size / 2, size, size);
        const key = `${Math.floor(x(row) / CELL)} ${Math.floor(y(row) / CELL)}`;
        if (grid.has(key)) grid.get(key).push(row);
        else grid.set(key, [row]);
      }
      context.globalAlpha = 1;
      for (const row of state.found) ring(row, page.variable("--text"), 4);
      if (state.chosen !== null) {
        for (const id of data.near[state.chosen]) if (rowOf.has(id)) ring(rowOf.get(id), page.variable("--link"), 5);
        ring(state.chosen, page.variable("--link"), 9);
      }
    };
    // The token nearest to a place on the canvas, at most CELL pixels away.
    const at = (left, top) => {
      const [column, line] = [Math.floor(left / CELL), Math.floor(top / CELL)];
      let [best, least] = [null, CELL ** 2];
      for (let across = column - 1; across <= column + 1; across += 1) {
        for (let down = line - 1; down <= line + 1; down += 1) {
          for (const row of grid.get(`${across} ${down}`) ?? []) {
            const distance = (x(row) - left) ** 2 + (y(row) - top) ** 2;
            if (distance < least) [best, least] = [row, distance];
          }
        }
      }
      return best;
    };
    const name = (row) => {
      status.replaceChildren(page.isolated(data.tokens[row]), " – ", say("Token {id}, cluster {cluster}", {
        id: ids[row], cluster: data.cluster[row] }));
    };
    const tokenButton = (id) => {
      const button = page.button("", () => rowOf.has(id) && choose(rowOf.get(id)));
      button.append(page.isolated(text(id)));
      button.disabled = !rowOf.has(id);
      return button;
    };
    const choose = (row) => {
      state.chosen = row;
      page.toAddress({ token: ids[row] });
      name(row);
      const others = data.near[row];
      near.replaceChildren(...(others.length
        ? [say("Nearest tokens:"), ...others.map(tokenButton)]
        : [say("Nearest tokens of this one were not computed.")]));
      draw();
    };
    const search = element("input", { type: "search", autocomplete: "off", spellcheck: false });
    search.addEventListener("input", () => {
      const wanted = search.value.toLowerCase();
      state.found = [];
      let count = 0;
      const exact = [];
      if (wanted) {
        lowered.forEach((token, row) => {
          if (!token.includes(wanted) || state.hidden.has(data.cluster[row])) return;
          count += 1;
          if (token.replace(/^␣/, "") === wanted) exact.push(row);
          else if (state.found.length < 500) state.found.push(row);
        });
        state.found = [...exact, ...state.found];
      }
      results.replaceChildren(...(wanted ? [
        say("{count} tokens contain this text", { count: page.whole(count) }),
        ...state.found.slice(0, MOST).map((row) => tokenButton(ids[row]))] : []));
      draw();
    });
    canvas.addEventListener("pointermove", (event) => {
      const row = at(event.offsetX, event.offsetY);
      if (row !== null) name(row);
    });
    canvas.addEventListener("click", (event) => {
      const row = at(event.offsetX, event.offsetY);
      if (row !== null) choose(row);
    });
    canvas.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      const rows = state.found.length ? state.found : ids.map((_, row) => row);
      if (!step || !rows.length) return;
      event.preventDefault();
      const now = rows.indexOf(state.chosen);
      choose(rows[(now + step + rows.length) % rows.length]);
    });

    // Clusters: a box hides or shows each; fonts are those of the reader.
    const legend = element("ul", { className: "cluster-legend" }, data.clusters.map((cluster) => {
      const box = element("input", { type: "checkbox", checked: true });
      box.addEventListener("change", () => {
        if (box.checked) state.hidden.delete(cluster.number);
        else state.hidden.add(cluster.number);
        draw();
      });
      const swatch = svg("rect", { width: "100%", height: "100%" });
      page.inEachScheme(() => swatch.setAttribute("fill", page.ink(cluster.color)));
      return element("li", {}, [element("label", {}, [
        box, svg("svg", { class: "swatch", "aria-hidden": "true" }, [swatch]),
        say("Cluster {number}: {count} tokens", { number: cluster.number, count: page.whole(cluster.size) }),
        " ", ...cluster.tokens.flatMap((token) => [page.isolated(token), " "])])]);
    }));
    const axes = element("p", { className: "unit", textContent: say("Across: {across}; up: {along}", {
      across: page.label(data.across), along: page.label(data.along) }) });
    const rows = () => [
      ["token_id", "token", "cluster", "x", "y"],
      ...ids.map((id, row) => [id, data.tokens[row], data.cluster[row], data.x[row] / GRID, data.y[row] / GRID])];
    place.append(
      element("div", { className: "controls" }, [element("label", {}, [say("Find a token"), search])]),
      results, canvas, status, near, axes, legend,
      element("p", { className: "exports" }, [
        page.button(say("CSV"), () => page.saveCsv("token-map", rows())),
        page.button(say("PNG"), () => canvas.toBlob((blob) => page.save("token-map.png", blob))),
        page.copyButton(say("Copy link"), () => location.href)]));
    if (data.every > 1) {
      axes.append(" ", say("One of {every} tokens is drawn.", { every: data.every }));
    }
    figure.classList.add("live");
    page.inEachScheme(draw);
    let before = place.clientWidth;
    new ResizeObserver(() => {
      if (place.clientWidth === before) return;
      before = place.clientWidth;
      draw();
    }).observe(place);
    const id = Number(page.inAddress("token") ?? NaN);
    if (rowOf.has(id)) choose(rowOf.get(id));
    figure.dataset.ready = "yes";
  };

  for (const figure of document.querySelectorAll(".token-figure")) {
    try {
      drawMap(figure, await page.unpack(figure.querySelector("script").textContent));
    } catch {
      // The picture stays.
    }
  }
})();
