// The maps of a report: a cell under the mouse or the focus names its value.
"use strict";
(async () => {
  const { element } = page;
  let number = 0;
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
    figure.querySelector(".live-part").append(
      part("controls"), part("map"), status, part("legend"), element("p", { className: "exports" }));
    page.layerMap({ place: figure, map, name: `map-${number}`, key: `map${number}-` });
    figure.dataset.ready = "yes";
  }
})();
