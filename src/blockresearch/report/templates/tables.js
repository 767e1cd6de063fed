// The tables of a report: all rows, sorted and filtered by the reader.
"use strict";
(async () => {
  const { element } = page;
  const figures = [...document.querySelectorAll(".table-figure")];
  for (const [number, figure] of figures.entries()) {
    let data;
    try {
      data = await page.unpack(figure.querySelector("script").textContent);
    } catch {
      continue;
    }
    // What is shown of it: a page in two languages has both.
    const caption = figure.querySelector("figcaption").innerText.trim();
    for (const column of data.columns) column.label = page.label(column.label);
    const place = figure.querySelector(".live-part");
    place.append(
      element("div", { className: "controls" }),
      element("p", { className: "shown", role: "status" }),
      element("div", { className: "window", tabIndex: 0, role: "region", "aria-label": caption }));
    figure.classList.add("live");
    page.table({
      place, data, caption, name: data.name, prefix: number ? `${number + 1}.` : "",
      count: (order) => say("{shown} of {all} rows", {
        shown: page.whole(order.length), all: page.whole(data.rows) }),
    });
    figure.dataset.ready = "yes";
  }
})();
