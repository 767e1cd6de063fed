// A table of any length: sorted and filtered here, only the rows in sight are drawn.
//
// Data: rows; columns [{key, label, text, whole, about}]; values by key, one for each row; texts by
// key, the texts that the values of a text column are numbers of. `searched` are the keys of the
// columns that words of the filter are looked for in, `choices` those with a list to choose from.
"use strict";
(() => {
  const PRINTED = 300;
  const { element } = page;

  // `place` contains what is drawn: elements of the classes controls, shown and window. `name` is that
  // of files and, with a dot, of keys of the address. `count` makes the sentence about the rows.
  page.table = ({ place, data, name, prefix, caption, count, open }) => {
    const [controls, shown, box] = ["controls", "shown", "window"].map((kind) => place.querySelector(`.${kind}`));
    data.text = (column, row) => data.texts[column.key][data.values[column.key][row]];
    const byKey = new Map(data.columns.map((column) => [column.key, column]));
    const searched = data.searched.map((key) => byKey.get(key));
    const lowered = Array.from({ length: data.rows }, (_, row) =>
      searched.map((column) => data.text(column, row)).join("\n").toLowerCase());
    // A column whose values are all the same is no choice.
    const choices = data.choices.filter((key) => byKey.has(key) && data.texts[key].length > 1);
    const state = { key: null, down: false, terms: [], conditions: [], chosen: {}, order: [] };

    const cell = (column, row) => {
      if (column.text) return data.text(column, row);
      if (data.shown?.[column.key]) return data.shown[column.key][row];
      const value = data.values[column.key][row];
      if (value === null) return "–";
      return column.whole ? page.whole(value) : page.number(value);
    };

    const head = element("tr", { "aria-rowindex": "1" });
    const heads = new Map();
    for (const column of data.columns) {
      const button = page.button(say(column.label), () => sort(column.key));
      button.title = column.about;
      const th = element("th", { scope: "col", className: column.text ? "text" : "", "aria-sort": "none" }, [button]);
      heads.set(column.key, th);
      head.append(th);
    }
    const body = element("tbody");
    const table = element("table", {}, [
      element("caption", { className: "unseen", textContent: caption }), element("thead", {}, [head]), body]);
    box.append(table);

    const sorted = (rows, column) => {
      // Missing numbers come last in both directions, equal ones stay in the order of the rows.
      const sign = state.down ? -1 : 1;
      const keys = Float64Array.from(data.values[column.key], (value) => (value === null ? Infinity : sign * value));
      return rows.sort((a, b) => (keys[a] < keys[b] ? -1 : keys[a] > keys[b] ? 1 : a - b));
    };
    const showSort = () => {
      for (const [key, th] of heads) {
        th.setAttribute("aria-sort", key !== state.key ? "none" : state.down ? "descending" : "ascending");
      }
    };
    const sort = (key) => {
      state.down = state.key === key ? !state.down : !byKey.get(key).text;
      state.key = key;
      showSort();
      page.toAddress({ [`${prefix}sort`]: (state.down ? "-" : "") + key });
      update();
    };

    const matches = (row) =>
      state.terms.every((term) => lowered[row].includes(term)) &&
      state.conditions.every((holds) => holds(row)) &&
      choices.every((key) => state.chosen[key] === undefined || data.values[key][row] === state.chosen[key]);
    const update = () => {
      state.order = [];
      for (let row = 0; row < data.rows; row += 1) if (matches(row)) state.order.push(row);
      if (state.key) sorted(state.order, byKey.get(state.key));
      shown.textContent = count(state.order);
      table.setAttribute("aria-rowcount", String(state.order.length + 1));
      box.scrollTop = 0;
      draw();
    };

    let height = 31;
    const space = (pixels) => {
      const td = element("td", { colSpan: data.columns.length });
      td.style.height = `${pixels}px`;
      return element("tr", { className: "space", "aria-hidden": "true" }, [td]);
    };
    const line = (at) => {
      const row = element("tr", { "aria-rowindex": String(at + 2) });
      for (const column of data.columns) {
        const text = cell(column, state.order[at]);
        const content = open && column.key === open.key ? open.link(text) : page.isolated(text);
        row.append(element("td", { className: column.text ? "text" : "", title: text }, [content]));
      }
      return row;
    };
    const draw = () => {
      const first = Math.max(0, Math.floor(box.scrollTop / height) - 10);
      const last = Math.min(state.order.length, first + Math.ceil(box.clientHeight / height) + 30);
      const rows = [];
      for (let at = first; at < last; at += 1) rows.push(line(at));
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
      const printed = Math.min(state.order.length, PRINTED);
      body.replaceChildren(...Array.from({ length: printed }, (_, at) => line(at)));
      if (printed < state.order.length) {
        const text = say("and {count} more", { count: page.whole(state.order.length - printed) });
        body.append(element("tr", {}, [element("td", { textContent: text, className: "text" })]));
      }
    });
    addEventListener("afterprint", draw);

    const search = element("input", { type: "search", autocomplete: "off", spellcheck: false });
    const problem = element("p", { className: "problem", role: "alert" });
    const filter = (text) => {
      const { terms, conditions, problems } = page.readFilter(text, data);
      Object.assign(state, { terms, conditions });
      problem.textContent = problems.join(" ");
      update();
    };
    search.addEventListener("input", () => {
      page.toAddress({ [`${prefix}filter`]: search.value });
      filter(search.value);
    });
    controls.append(element("label", {}, [say("Filter"), search]));
    for (const key of choices) {
      const options = data.texts[key].map((text, at) => [String(at), text || say("none")]);
      controls.append(page.select(say(byKey.get(key).label), [["", say("all")], ...options], "", (value) => {
        state.chosen[key] = value === "" ? undefined : Number(value);
        update();
      }));
    }
    const rows = () => [
      data.columns.map((column) => column.key),
      ...state.order.map((row) => data.columns.map((column) =>
        (column.text ? data.text(column, row) : data.values[column.key][row]))),
    ];
    controls.append(page.button(say("Download these rows (CSV)"), () => page.saveCsv(name, rows())));
    controls.after(problem);

    const follow = () => {
      const sortKey = page.inAddress(`${prefix}sort`) ?? "";
      const key = sortKey.replace(/^-/, "");
      if (byKey.has(key)) Object.assign(state, { key, down: sortKey.startsWith("-") });
      showSort();
      search.value = page.inAddress(`${prefix}filter`) ?? "";
      filter(search.value);
    };
    page.onAddress(follow);
    box.dataset.ready = "yes";

    return {
      // Show the row of a text alone.
      only: (text) => {
        const column = data.columns.find((one) => one.text);
        search.value = text;
        problem.textContent = "";
        Object.assign(state, { terms: [], conditions: [(row) => data.text(column, row) === text] });
        update();
      },
    };
  };
})();
