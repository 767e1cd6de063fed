// The table of parameters: sorted and filtered here, only the rows in sight are drawn.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const box = document.getElementById("window");
  const shown = document.getElementById("shown");
  const whole = new Intl.NumberFormat("en-US");
  const names = data.values.param_name.map((name) => name.toLowerCase());
  // A column whose values are all the same is no choice.
  const rest = ["component", "block_type", "dtype"].filter((key) => data.texts[key].length > 1);
  const state = { key: null, down: false, terms: [], chosen: {}, order: [] };

  const element = (tag, properties = {}, children = []) => {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  };
  const cell = (column, row) => {
    const value = data.values[column.key][row];
    if (column.key in data.texts) return data.texts[column.key][value];
    if (value === null) return "–";
    if (column.text) return value;
    if (column.whole) return whole.format(value);
    const size = Math.abs(value);
    if (size !== 0 && (size < 1e-3 || size >= 1e6)) return value.toExponential(2);
    return String(Number(value.toPrecision(4)));
  };

  const head = element("tr");
  for (const column of data.columns) {
    const button = element("button", { type: "button", textContent: column.label, title: column.meaning });
    const th = element("th", { scope: "col", className: column.text ? "text" : "" }, [button]);
    th.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => sort(column, th));
    head.append(th);
  }
  const body = element("tbody");
  const table = element("table", {}, [element("thead", {}, [head]), body]);
  box.append(table);

  const compare = (column) => {
    const values = data.values[column.key];
    const sign = state.down ? -1 : 1;
    const texts = data.texts[column.key];
    if (texts || !column.text) {
      // Missing numbers come last in both directions.
      return (a, b) => {
        const x = values[a], y = values[b];
        if (x === null || y === null) return (x === null) - (y === null) || a - b;
        return sign * (x - y) || a - b;
      };
    }
    return (a, b) => sign * (values[a] < values[b] ? -1 : values[a] > values[b] ? 1 : 0) || a - b;
  };
  const sort = (column, th) => {
    state.down = state.key === column.key ? !state.down : !column.text;
    state.key = column.key;
    for (const other of head.children) other.setAttribute("aria-sort", "none");
    th.setAttribute("aria-sort", state.down ? "descending" : "ascending");
    update();
  };
  const matches = (row) =>
    state.terms.every((term) => names[row].includes(term)) &&
    rest.every((key) => state.chosen[key] === undefined || data.values[key][row] === state.chosen[key]);

  const update = () => {
    state.order = [];
    for (let row = 0; row < data.rows; row += 1) if (matches(row)) state.order.push(row);
    const column = data.columns.find((one) => one.key === state.key);
    if (column) state.order.sort(compare(column));
    const sum = state.order.reduce((total, row) => total + (data.values.numel[row] || 0), 0);
    shown.textContent =
      `${whole.format(state.order.length)} of ${whole.format(data.rows)} tensors, ` +
      `${whole.format(sum)} parameters`;
    table.setAttribute("aria-rowcount", String(state.order.length + 1));
    box.scrollTop = 0;
    draw();
  };

  let height = 31;
  const space = (pixels) => {
    const td = element("td", { colSpan: data.columns.length });
    td.style.height = `${pixels}px`;
    const row = element("tr", { className: "space" }, [td]);
    row.setAttribute("aria-hidden", "true");
    return row;
  };
  const draw = () => {
    const first = Math.max(0, Math.floor(box.scrollTop / height) - 10);
    const last = Math.min(state.order.length, first + Math.ceil(box.clientHeight / height) + 30);
    const rows = [];
    for (let place = first; place < last; place += 1) {
      const row = element("tr");
      row.setAttribute("aria-rowindex", String(place + 2));
      for (const column of data.columns) {
        const text = cell(column, state.order[place]);
        row.append(element("td", { textContent: text, className: column.text ? "text" : "", title: text }));
      }
      rows.push(row);
    }
    body.replaceChildren(space(first * height), ...rows, space((state.order.length - last) * height));
    if (rows.length) height = rows[0].getBoundingClientRect().height || height;
  };
  let waiting = false;
  box.addEventListener("scroll", () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; draw(); });
  });

  const controls = document.getElementById("controls");
  const search = element("input", { type: "search", autocomplete: "off", placeholder: "e.g. layers.3. q_proj" });
  search.addEventListener("input", () => {
    state.terms = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    update();
  });
  controls.append(element("label", {}, ["Search in the names", search]));
  for (const key of rest) {
    const { label } = data.columns.find((column) => column.key === key);
    const select = element("select", {}, [element("option", { value: "", textContent: "all" })]);
    data.texts[key].forEach((text, place) =>
      select.append(element("option", { value: String(place), textContent: text || "none" })));
    select.addEventListener("change", () => {
      state.chosen[key] = select.value === "" ? undefined : Number(select.value);
      update();
    });
    controls.append(element("label", {}, [label, select]));
  }
  update();
})();
