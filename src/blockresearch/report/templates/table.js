// The table of parameters: unpacked, sorted and filtered here, only the rows in sight are drawn.
"use strict";
(async () => {
  const box = document.getElementById("window");
  const shown = document.getElementById("shown");
  const controls = document.getElementById("controls");
  const whole = new Intl.NumberFormat("en-US");
  const PRINTED = 300;
  const SUPERSCRIPTS = { "-": "⁻", "+": "", ...Object.fromEntries([..."⁰¹²³⁴⁵⁶⁷⁸⁹"].entries()) };
  const minus = (text) => text.replace("-", "−");

  const unpacked = async () => {
    const letters = atob(document.getElementById("data").textContent);
    const bytes = new Uint8Array(letters.length);
    for (let place = 0; place < letters.length; place += 1) bytes[place] = letters.charCodeAt(place);
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(stream).text());
  };
  let data;
  try {
    data = await unpacked();
  } catch {
    shown.textContent = "This browser cannot unpack the table; params.csv holds the same.";
    return;
  }
  // A name is a pattern, or [pattern, the numbers that stand for its marks].
  const patterns = data.texts.param_name.map((pattern) => pattern.split("#"));
  const names = data.values.param_name.map((packed) => {
    if (typeof packed === "number") return data.texts.param_name[packed];
    const parts = patterns[packed[0]];
    let name = parts[0];
    for (let place = 1; place < parts.length; place += 1) name += packed[place] + parts[place];
    return name;
  });
  const lowered = names.map((name) => name.toLowerCase());
  const { param_name: _, ...texts } = data.texts;
  // Rows come in the order of names.
  data.values.param_name = names.map((_, row) => row);
  // A column whose values are all the same is no choice.
  const choices = ["component", "block_type", "role", "dtype"].filter((key) =>
    texts[key].length > 1 && data.columns.some((column) => column.key === key));
  const state = { key: null, down: false, terms: [], conditions: [], chosen: {}, order: [] };

  const element = (tag, properties = {}, children = []) => {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  };
  const cell = (column, row) => {
    if (column.key === "param_name") return names[row];
    const value = data.values[column.key][row];
    if (column.key in texts) return texts[column.key][value];
    if (value === null) return "–";
    if (column.whole) return whole.format(value);
    const size = Math.abs(value);
    if (size === 0) return "0";
    if (size < 1e-3 || size >= 1e6) {
      const [mantissa, power] = value.toExponential(2).split("e");
      return `${minus(mantissa)} × 10${[...power].map((sign) => SUPERSCRIPTS[sign]).join("")}`;
    }
    return minus(size >= 1e4 ? whole.format(value) : value.toPrecision(4));
  };

  const head = element("tr");
  head.setAttribute("aria-rowindex", "1");
  for (const column of data.columns) {
    const button = element("button", { type: "button", textContent: say(column.label) });
    const about = document.getElementById(`about-params.${column.key}`);
    button.title = about.textContent;
    const th = element("th", { scope: "col", className: column.text ? "text" : "" }, [button]);
    th.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => sort(column, th));
    head.append(th);
  }
  const body = element("tbody");
  const caption = element("caption", { className: "unseen", textContent: say("Parameters, one row per tensor") });
  const table = element("table", {}, [caption, element("thead", {}, [head]), body]);
  box.append(table);

  const sorted = (rows, column) => {
    // Missing numbers come last in both directions, equal ones stay in the order of names.
    const sign = state.down ? -1 : 1;
    const keys = Float64Array.from(data.values[column.key], (value) => (value === null ? Infinity : sign * value));
    return rows.sort((a, b) => (keys[a] < keys[b] ? -1 : keys[a] > keys[b] ? 1 : a - b));
  };
  const sort = (column, th) => {
    state.down = state.key === column.key ? !state.down : !column.text;
    state.key = column.key;
    for (const other of head.children) other.setAttribute("aria-sort", "none");
    th.setAttribute("aria-sort", state.down ? "descending" : "ascending");
    update();
  };

  const OPERATIONS = {
    "<": (x, y) => x < y, "<=": (x, y) => x <= y, ">": (x, y) => x > y, ">=": (x, y) => x >= y,
    "=": (x, y) => x === y,
  };
  const numeric = data.columns.filter((column) => !column.text);
  // A word of the search is a part of a name, or a condition such as layer>=2 or stable_rank<10.
  const read = (text) => {
    state.terms = [];
    state.conditions = [];
    for (const word of text.toLowerCase().split(/\s+/).filter(Boolean)) {
      const [, name, operation, number] = /^([^<>=]+)(<=|>=|<|>|=)([^<>=]+)$/.exec(word) || [];
      const column = numeric.find(({ key, label }) => key === name || label.replaceAll(" ", "_") === name);
      if (column && Number.isFinite(Number(number))) {
        const [values, holds, limit] = [data.values[column.key], OPERATIONS[operation], Number(number)];
        state.conditions.push((row) => values[row] !== null && holds(values[row], limit));
      } else {
        state.terms.push(word);
      }
    }
  };
  const matches = (row) =>
    state.terms.every((term) => lowered[row].includes(term)) &&
    state.conditions.every((holds) => holds(row)) &&
    choices.every((key) => state.chosen[key] === undefined || data.values[key][row] === state.chosen[key]);

  const update = () => {
    state.order = [];
    for (let row = 0; row < data.rows; row += 1) if (matches(row)) state.order.push(row);
    const column = data.columns.find((one) => one.key === state.key);
    if (column) sorted(state.order, column);
    const sum = state.order.reduce((total, row) => total + (data.values.numel[row] || 0), 0);
    shown.textContent = say("{count} of {total} tensors, {parameters} parameters", {
      count: whole.format(state.order.length), total: whole.format(data.rows), parameters: whole.format(sum),
    });
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
  const line = (place) => {
    const row = element("tr");
    row.setAttribute("aria-rowindex", String(place + 2));
    for (const column of data.columns) {
      const text = cell(column, state.order[place]);
      const shown = element("bdi", { dir: "ltr", textContent: text });
      row.append(element("td", { className: column.text ? "text" : "", title: text }, [shown]));
    }
    return row;
  };
  const draw = () => {
    const first = Math.max(0, Math.floor(box.scrollTop / height) - 10);
    const last = Math.min(state.order.length, first + Math.ceil(box.clientHeight / height) + 30);
    const rows = [];
    for (let place = first; place < last; place += 1) rows.push(line(place));
    body.replaceChildren(space(first * height), ...rows, space((state.order.length - last) * height));
    if (rows.length) height = rows[0].getBoundingClientRect().height || height;
  };
  let waiting = false;
  box.addEventListener("scroll", () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; draw(); });
  });
  // Paper does not scroll: the first rows are printed, with the number of those left out.
  addEventListener("beforeprint", () => {
    const count = Math.min(state.order.length, PRINTED);
    body.replaceChildren(...Array.from({ length: count }, (_, place) => line(place)));
    if (count < state.order.length) {
      const text = say("and {count} more, in params.csv", { count: whole.format(state.order.length - count) });
      body.append(element("tr", {}, [element("td", { textContent: text, className: "text" })]));
    }
  });
  addEventListener("afterprint", draw);

  const search = element("input", { type: "search", autocomplete: "off" });
  search.addEventListener("input", () => { read(search.value); update(); });
  controls.append(element("label", {}, [say("Search"), search]));
  for (const key of choices) {
    const { label } = data.columns.find((column) => column.key === key);
    const select = element("select", {}, [element("option", { value: "", textContent: say("all") })]);
    texts[key].forEach((text, place) =>
      select.append(element("option", { value: String(place), textContent: text || say("none") })));
    select.addEventListener("change", () => {
      state.chosen[key] = select.value === "" ? undefined : Number(select.value);
      update();
    });
    controls.append(element("label", {}, [say(label), select]));
  }
  update();
  // A link to a tensor shows its row: #tensor=NAME.
  const follow = () => {
    const name = new URLSearchParams(location.hash.slice(1)).get("tensor");
    if (name === null) return;
    search.value = name;
    read("");
    state.conditions = [(row) => names[row] === name];
    update();
    document.getElementById("parameters").scrollIntoView();
    search.focus({ preventScroll: true });
  };
  addEventListener("hashchange", follow);
  follow();
  box.dataset.ready = "yes";
})();
