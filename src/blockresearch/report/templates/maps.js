// The maps of a report: a cell under the mouse or the focus names its value, and opens its rows if there are any.
"use strict";
(async () => {
  const { element } = page;
  let number = 0;

  // The rows of a cell, in a part of the page that has the focus until it is closed.
  const rowsOf = (panel, { heads, cells }, label, count, cell, close) => {
    const head = (text) => element("th", { scope: "col", className: text === heads.at(-1) ? "text" : "", textContent: page.label(text) });
    const lines = cells[cell].map(([name, address, ...texts]) => element("tr", {}, [
      element("td", { className: "text" }, [element("a", { href: address }, [page.isolated(name)])]),
      ...texts.map((text, at) => element("td", {
        className: at === texts.length - 1 ? "text" : "", textContent: page.label(text),
      }))]));
    const caption = lines.length < count
      ? say("{label}: the {shown} of {count} matrices that changed most", { label, shown: lines.length, count })
      : label;
    const scroll = element("div", { className: "scroll", tabIndex: 0, role: "region", "aria-label": label }, [
      element("table", {}, [
        element("caption", { textContent: caption }),
        element("thead", {}, [element("tr", {}, [
          element("th", { scope: "col", className: "text", textContent: say("tensor of the base") }), ...heads.map(head)])]),
        element("tbody", {}, lines)])]);
    panel.replaceChildren(scroll, page.button(say("Close"), close));
    scroll.focus();
  };

  for (const figure of document.querySelectorAll(".map-figure")) {
    number += 1;
    let map;
    try {
      map = await page.unpack(figure.querySelector("script").textContent);
    } catch {
      continue;
    }
    const part = (name) => element("div", { className: name });
    const status = element("p", { className: "status" });
    status.setAttribute("role", "status");
    const panel = part("opened");
    figure.querySelector(".live-part").append(
      part("controls"), part("map"), status, part("legend"), element("p", { className: "exports" }), panel);
    const close = () => {
      panel.replaceChildren();
      drawing.focusChosen();
      drawing.choose(null);
    };
    const open = map.opened && ((cell) => {
      const label = say("Layer {layer}, {label}", { layer: map.cells.layer[cell], label: map.columns[map.cells.column[cell]].label });
      rowsOf(panel, map.opened, label, map.cells.count[cell], cell, close);
    });
    const drawing = page.layerMap({ place: figure, map, name: `map-${number}`, key: `map${number}-`, open });
    panel.addEventListener("keydown", (event) => event.key === "Escape" && close());
    figure.dataset.ready = "yes";
  }
})();
