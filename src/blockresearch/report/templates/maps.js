// The maps of a report: a cell under the mouse or the focus names its value, and opens its rows or the card of its head
// if there are any.
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

  // The card of a head, in the same place.
  const cardOf = (panel, { sides }, { scores, sides: own, edges }, label, close) => {
    const end = (sign, tokens) => [element("b", { textContent: sign }), " ",
      ...tokens.flatMap((token) => [page.isolated(token), " "])];
    const lines = own.map(([side, top, bottom]) => element("p", {}, [
      `${page.label(sides[side])} `, ...end("+", top), ...end("−", bottom)]));
    const card = element("li", { tabIndex: -1 }, [
      element("strong", { textContent: label }), element("p", { textContent: page.label(scores) }),
      ...(own.length ? lines : [element("p", { textContent: say("No tokens are known for what it reads and writes.") })]),
      ...edges.map((edge) => element("p", { textContent: page.label(edge) }))]);
    panel.replaceChildren(element("ul", { className: "cards" }, [card]), page.button(say("Close"), close));
    card.focus();
    card.scrollIntoView({ block: "nearest" });
  };

  // The cards of all heads, in the order of the cells of maps of heads.
  const stored = document.getElementById("head-cards");
  let heads = null;
  try {
    heads = stored && await page.unpack(stored.textContent);
  } catch {
    // Maps without cards.
  }

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
    const named = (cell) =>
      say("Layer {layer}, {label}", { layer: map.cells.layer[cell], label: page.label(map.columns[map.cells.column[cell]].label) });
    let open = null;
    if (map.opened) open = (cell) => rowsOf(panel, map.opened, named(cell), map.cells.count[cell], cell, close);
    if (map.cards && heads) {
      open = (cell) => cardOf(panel, heads, heads.cards[cell], named(cell), close);
      status.after(element("p", { className: "outside", textContent: say("A click on a head, or Enter, opens its card.") }));
    }
    const drawing = page.layerMap({ place: figure, map, name: `map-${number}`, key: `map${number}-`, open });
    panel.addEventListener("keydown", (event) => event.key === "Escape" && close());
    figure.dataset.ready = "yes";
  }
})();
