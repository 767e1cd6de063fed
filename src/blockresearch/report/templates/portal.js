// Search and sorting of the list of models, and chosen models side by side.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const table = document.getElementById("models");
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const search = document.getElementById("search");
  const shown = document.getElementById("shown");
  const heads = [...table.tHead.rows[0].cells];
  const boxes = [...body.querySelectorAll("input[type=checkbox]")];
  const comparison = document.getElementById("comparison");
  const all = document.getElementById("all");
  const texts = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
  // Of a long list the first rows are shown: a browser takes a second to lay out a thousand.
  const FEW = 100;
  let most = FEW;
  const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

  const element = (tag, properties = {}, children = []) => {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  };
  const value = (row, place) => {
    const cell = row.cells[place];
    return cell.dataset.value === undefined ? cell.textContent.toLowerCase() : Number(cell.dataset.value);
  };
  const filter = () => {
    const terms = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const row of rows) {
      const isFound = terms.every((term) => texts.get(row).includes(term));
      count += isFound ? 1 : 0;
      row.hidden = !isFound || (count > most && !row.querySelector(":checked"));
    }
    all.hidden = count <= most;
    all.textContent = say("Show all {count}", { count });
    const single = boxes.filter((box) => box.checked).length === 1;
    const numbers = { count, total: rows.length };
    shown.textContent = single
      ? say("{count} of {total} models; tick another one to compare", numbers)
      : say("{count} of {total} models", numbers);
  };
  heads.forEach((head, place) => {
    const button = head.querySelector("button");
    if (!button) return;
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const other of heads) if (other.hasAttribute("aria-sort")) other.setAttribute("aria-sort", "none");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const sign = down ? -1 : 1;
      rows.sort((a, b) => {
        const x = value(a, place), y = value(b, place);
        return sign * (x < y ? -1 : x > y ? 1 : 0);
      });
      body.append(...rows);
      filter();
    });
  });
  all.addEventListener("click", () => {
    most = rows.length;
    filter();
    search.focus();
  });

  const page = (folder, file) => `${encodeURIComponent(folder)}/${file}`;
  const RATIO = 3;  // digits
  const signed = (text) => (text.startsWith("−") || text === "0" ? text : `+${text}`);
  // B − A in the unit of the number.
  const minus = (kind, a, b) => {
    const change = b - a;
    if (kind === "share") return say("{count} points", { count: signed(depth.short(Number((100 * change).toFixed(2)))) });
    if (kind === "count") return signed(change.toLocaleString("en").replace("-", "−"));
    if (kind === "bytes") return `${signed(depth.short(change / 1e6))} MB`;
    return signed(depth.short(change)) + (kind ? ` ${kind}` : "");
  };
  // A difference of decibels is a ratio.
  const over = (kind, a, b) => (kind === "dB" ? minus(kind, a, b) : a <= 0 || b <= 0 ? "–" : `× ${Number((b / a).toPrecision(RATIO))}`);
  // How different two numbers are, 0 to 2: relative to the larger one; decibels as amplitudes.
  const distance = (kind, a, b) => {
    if (a === null || b === null) return -1;
    if (kind === "dB") return 1 - 10 ** (-Math.abs(b - a) / 20);
    const size = Math.max(Math.abs(a), Math.abs(b));
    return size > 0 ? Math.abs(b - a) / size : 0;
  };
  const line = (row, place, chosen, view) => {
    const texts = chosen.map((folder) => data.models[folder].values[place]);
    const raw = chosen.map((folder) => data.models[folder].numbers[place]);
    if (texts.every((text) => text === "–")) return null;
    const label = row.anchor
      ? element("a", { className: "term", href: `glossary.html#${row.anchor}`, textContent: say(row.label) })
      : say(row.label);
    const meaning = element("span", { className: "meaning", textContent: say(row.meaning) });
    const both = (other, write) => (raw[0] === null || raw[other] === null ? "–" : write(row.kind, raw[0], raw[other]));
    const columns = chosen.length === 2
      ? [...texts, both(1, minus), both(1, over)]
      : texts.map((text, other) => (other === 0 || view === "values" ? text : both(other, view === "minus" ? minus : over)));
    const cells = columns.map((text) => element("td", { textContent: text }));
    const title = element("th", { scope: "row", className: "text" }, [label, meaning]);
    const most = Math.max(...raw.slice(1).map((value) => distance(row.kind, raw[0], value)));
    return { group: row.group, most, row: element("tr", {}, [title, ...cells]) };
  };
  const numbers = (chosen, state) => {
    const heads = chosen.map((folder, place) => element("th", { scope: "col" }, [
      `${LETTERS[place] ?? ""} `,
      element("a", { href: page(folder, "index.html"), textContent: data.models[folder].name }),
    ]));
    if (chosen.length === 2) {
      heads.push(element("th", { scope: "col", textContent: "B − A" }), element("th", { scope: "col", textContent: "B / A" }));
    }
    const head = element("tr", {}, [element("th", { scope: "col", className: "text", textContent: say("measure") }), ...heads]);
    const lines = data.rows.map((row, place) => line(row, place, chosen, state.view)).filter(Boolean);
    const caption = element("caption", { className: "unseen", textContent: say("Numbers of the chosen models") });
    if (state.order === "difference") {
      lines.sort((a, b) => b.most - a.most);
      return [caption, element("thead", {}, [head]), element("tbody", {}, lines.map((each) => each.row))];
    }
    const groups = Map.groupBy ? Map.groupBy(lines, (each) => each.group) : grouped(lines);
    const parts = [...groups].map(([group, own]) => {
      const title = element("th", { scope: "rowgroup", className: "text", colSpan: heads.length + 1, textContent: say(group) });
      return element("tbody", {}, [element("tr", { className: "group" }, [title]), ...own.map((each) => each.row)]);
    });
    return [caption, element("thead", {}, [head]), ...parts];
  };
  const grouped = (lines) => {
    const groups = new Map();
    for (const each of lines) groups.set(each.group, [...(groups.get(each.group) || []), each]);
    return groups;
  };
  const choice = (label, options, value, change) => {
    const select = element("select", {}, options.map(([key, text]) => element("option", { value: key, textContent: text })));
    select.value = value;
    select.addEventListener("change", () => change(select.value));
    return element("label", {}, [label, select]);
  };
  const controls = (chosen, state) => {
    const set = (key) => (value) => { state[key] = value; draw(); };
    const names = chosen.map((folder) => [folder, data.models[folder].name]);
    const made = [
      choice(say("compared with (A)"), names, chosen[0], (folder) => {
        state.first = folder;
        draw();
      }),
      choice(say("order"), [["topic", say("by topic")], ["difference", say("largest differences first")]], state.order, set("order")),
    ];
    if (chosen.length > 2) {
      made.push(choice(say("other models"), [["values", say("values")], ["minus", say("minus A")], ["ratio", say("divided by A")]], state.view, set("view")));
    }
    return made;
  };
  const MOST = 20;
  const overDepth = (chosen, state) => {
    const having = chosen.filter((folder) => data.models[folder].depth.length);
    if (having.length < 2) return [];
    const profiles = having.map((folder) => data.models[folder].depth);
    const names = having.map((folder) => data.models[folder].name);
    const metric = data.metrics.find((each) => each.key === state.metric) ?? data.metrics[0];
    const keys = [...new Set(profiles.flat().map(depth.key))];
    const components = new Set(profiles.flat().map((column) => column.component));
    const shown = (key) => (components.size > 1 ? key : key.slice(key.indexOf(" ") + 1));
    const charts = keys.map((key) => {
      const columns = profiles.map((profile) => profile.find((column) => depth.key(column) === key));
      return columns.filter(Boolean).length > 1 ? depth.chart(shown(key), columns, names, metric.key, metric.log) : null;
    }).filter(Boolean);
    const only = keys.filter((key) => profiles.filter((profile) => profile.some((column) => depth.key(column) === key)).length === 1);
    const select = choice(say("metric"), data.metrics.map((each) => [each.key, say(each.label)]), metric.key, (key) => {
      state.metric = key;
      draw();
    });
    const found = depth.differences(names, profiles, metric.key).slice(0, MOST);
    const cells = (each) => [shown(each.column), each.layer, each.other, depth.short(each.mine), depth.short(each.theirs),
      signed(depth.short(each.theirs - each.mine)), over("", each.mine, each.theirs)];
    const heads = [say("kind of matrix"), say("layer of A"), say("layer of B"), "A", "B", "B − A", "B / A"];
    const many = names.length > 2;
    const table = element("table", {}, [
      element("caption", { textContent: say("Largest differences from A at the same relative depth (relative to the larger number)") }),
      element("thead", {}, [element("tr", {}, [...(many ? [say("B")] : []), ...heads].map((text, place) =>
        element("th", { scope: "col", textContent: text, className: place < (many ? 2 : 1) ? "text" : "" })))]),
      element("tbody", {}, found.map((each) => element("tr", {}, [...(many ? [each.name] : []), ...cells(each)].map((text, place) =>
        element("td", { textContent: text, className: place < (many ? 2 : 1) ? "text" : "" }))))),
    ]);
    return [
      element("h3", { id: "depth", textContent: say("Over depth") }),
      element("p", { textContent: say("Across: relative depth, 0 the first layer and 1 the last. All models of a chart share its scale.") }),
      element("div", { className: "controls" }, [select]),
      depth.legend(names),
      element("div", { className: "charts" }, charts),
      ...(only.length ? [element("p", { className: "caption", textContent: say("Only one of the models has {names}.", { names: only.map(shown).join(", ") }) })] : []),
      ...(found.length ? [element("div", { className: "scroll", tabIndex: 0 }, [table])] : []),
    ];
  };
  const weights = (chosen) => {
    const found = data.weights.filter((pair) => chosen.includes(pair.other) && chosen.includes(pair.base));
    return found.map((pair) => element("p", {}, [
      element("a", { href: `compare/${encodeURIComponent(pair.folder)}/index.html`,
        textContent: say("What changed in the weights: {other} compared with {base}", { other: pair.other, base: pair.base }) }),
    ]));
  };
  const pictures = (chosen) =>
    Object.entries(data.figures).flatMap(([path, caption]) => {
      const having = chosen.filter((folder) => data.models[folder].figures.includes(path));
      if (having.length === 0) return [];
      const figures = having.map((folder) => {
        const { name } = data.models[folder];
        const image = element("img", { src: page(folder, path), alt: `${say(caption)}: ${name}` });
        const link = element("a", { href: page(folder, path) }, [image]);
        return element("figure", {}, [link, element("figcaption", { textContent: name })]);
      });
      return [element("h3", { id: `picture-${path.replace(/\W+/g, "-")}`, textContent: say(caption) }), element("div", { className: "pair" }, figures)];
    });
  const state = { first: null, order: "topic", view: "values", metric: "std" };
  const compare = () => {
    const ticked = boxes.filter((box) => box.checked).map((box) => box.value);
    const first = ticked.includes(state.first) ? state.first : ticked[0];
    const chosen = [first, ...ticked.filter((folder) => folder !== first)].filter(Boolean);
    comparison.hidden = chosen.length < 2;
    filter();
    const fill = (id, parts) => document.getElementById(id).replaceChildren(...(comparison.hidden ? [] : parts()));
    fill("comparison-controls", () => controls(chosen, state));
    fill("weights-of-chosen", () => weights(chosen));
    fill("side-by-side", () => numbers(chosen, state));
    fill("over-depth", () => overDepth(chosen, state));
    fill("pictures", () => pictures(chosen));
    return chosen;
  };
  const keep = () => {
    const chosen = compare().map(encodeURIComponent).join(",");
    const more = Object.entries({ order: "topic", view: "values", metric: "std" })
      .filter(([key, usual]) => state[key] !== usual).map(([key]) => `&${key}=${state[key]}`).join("");
    history.replaceState(null, "", chosen ? `#compare=${chosen}${more}` : location.pathname + location.search);
  };
  // Draw again, and give the focus back to the control that asked for it.
  const draw = () => {
    const active = [...comparison.querySelectorAll("select")].indexOf(document.activeElement);
    keep();
    if (active >= 0) comparison.querySelectorAll("select")[active]?.focus();
  };
  const restore = () => {
    if (location.hash && !location.hash.startsWith("#compare=")) return;
    const [list, ...settings] = location.hash.replace("#compare=", "").split("&");
    const folders = list.split(",").map((part) => {
      try { return decodeURIComponent(part); } catch { return ""; }
    });
    const wanted = new Set(folders);
    state.first = folders[0];
    const allowed = { order: ["topic", "difference"], view: ["values", "minus", "ratio"], metric: data.metrics.map((each) => each.key) };
    for (const [key, values] of Object.entries(allowed)) {
      const found = settings.map((part) => part.split("=")).find(([name]) => name === key);
      if (found && values.includes(found[1])) state[key] = found[1];
    }
    for (const box of boxes) box.checked = wanted.has(box.value);
    compare();
  };
  for (const box of boxes) box.addEventListener("change", keep);
  document.getElementById("clear").addEventListener("click", () => {
    for (const box of boxes) box.checked = false;
    keep();
    search.focus();
  });
  addEventListener("hashchange", restore);
  search.addEventListener("input", filter);
  filter();
  restore();
})();
