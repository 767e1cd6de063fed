// Elements of a page, made without markup: text from a model is never more than text.
"use strict";
globalThis.page = {};
(() => {
  const SVG = "http://www.w3.org/2000/svg";

  page.element = (tag, properties = {}, children = []) => {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(properties)) {
      if (name in made && !name.startsWith("aria")) made[name] = value;
      else made.setAttribute(name, value);
    }
    made.append(...children);
    return made;
  };

  page.svg = (tag, attributes = {}, children = []) => {
    const made = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  };

  // Text from a model: its direction does not reorder its neighbors.
  page.isolated = (text) => page.element("bdi", { dir: "ltr", textContent: text });

  // A label in the data of a page: a text, or an object with one for each language.
  page.label = (text) => (typeof text === "string" ? text : text[document.documentElement.dataset.language ?? "en"]);

  page.select = (label, options, chosen, change) => {
    const select = page.element("select", {}, options.map(([value, text]) =>
      page.element("option", { value, textContent: text })));
    select.value = chosen;
    select.addEventListener("change", () => change(select.value));
    return page.element("label", {}, [label, select]);
  };

  page.button = (text, click) => {
    const button = page.element("button", { type: "button", textContent: text });
    button.addEventListener("click", () => click(button));
    return button;
  };

  page.isDark = () => matchMedia("(prefers-color-scheme: dark)").matches;

  // Run now, and again if the reader switches between light and dark.
  page.inEachScheme = (draw) => {
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
    draw();
  };
  // The same, and again when the frame has another width.
  page.keepDrawn = (frame, draw) => {
    page.inEachScheme(draw);
    let width = frame.clientWidth;
    new ResizeObserver(() => {
      if (frame.clientWidth === width) return;
      width = frame.clientWidth;
      draw();
    }).observe(frame);
  };


  // A color of light pages, lighter on dark ones.
  page.ink = (color) => {
    if (!page.isDark()) return color;
    const parts = [1, 3, 5].map((place) => parseInt(color.slice(place, place + 2), 16));
    return `rgb(${parts.map((part) => Math.round(part + (255 - part) * 0.4)).join(",")})`;
  };

  page.variable = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
})();
