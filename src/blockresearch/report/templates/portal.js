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
      const text = row.textContent.toLowerCase();
      row.hidden = !terms.every((term) => text.includes(term));
      count += row.hidden ? 0 : 1;
    }
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
    });
  });

  const page = (folder, file) => `${encodeURIComponent(folder)}/${file}`;
  const numbers = (chosen) => {
    const names = chosen.map((folder) => element("th", { scope: "col" }, [
      element("a", { href: page(folder, "index.html"), textContent: data.models[folder].name }),
    ]));
    const head = element("tr", {}, [element("th", { scope: "col", className: "text", textContent: say("measure") }), ...names]);
    const groups = new Map();
    data.rows.forEach((row, place) => {
      const texts = chosen.map((folder) => data.models[folder].values[place]);
      if (texts.every((text) => text === "–")) return;
      const label = row.anchor
        ? element("a", { className: "term", href: `glossary.html#${row.anchor}`, textContent: say(row.label) })
        : say(row.label);
      const meaning = element("span", { className: "meaning", textContent: say(row.meaning) });
      const cells = texts.map((text) => element("td", { textContent: text }));
      const title = element("th", { scope: "row", className: "text" }, [label, meaning]);
      groups.set(row.group, [...(groups.get(row.group) || []), element("tr", {}, [title, ...cells])]);
    });
    const parts = [...groups].map(([group, lines]) => {
      const title = element("th", { scope: "rowgroup", className: "text", colSpan: chosen.length + 1, textContent: say(group) });
      return element("tbody", {}, [element("tr", { className: "group" }, [title]), ...lines]);
    });
    const caption = element("caption", { className: "unseen", textContent: say("Numbers of the chosen models") });
    return [caption, element("thead", {}, [head]), ...parts];
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
      return [element("h3", { textContent: say(caption) }), element("div", { className: "pair" }, figures)];
    });
  const compare = () => {
    const chosen = boxes.filter((box) => box.checked).map((box) => box.value);
    comparison.hidden = chosen.length < 2;
    filter();
    document.getElementById("side-by-side").replaceChildren(...(comparison.hidden ? [] : numbers(chosen)));
    document.getElementById("pictures").replaceChildren(...(comparison.hidden ? [] : pictures(chosen)));
    return chosen;
  };
  const keep = () => {
    const chosen = compare().map(encodeURIComponent).join(",");
    history.replaceState(null, "", chosen ? `#compare=${chosen}` : location.pathname + location.search);
  };
  const restore = () => {
    if (location.hash && !location.hash.startsWith("#compare=")) return;
    const wanted = new Set(location.hash.replace("#compare=", "").split(",").map((part) => {
      try { return decodeURIComponent(part); } catch { return ""; }
    }));
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
