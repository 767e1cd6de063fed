// Data of a page: gzip as base64, inside the page or in a script beside it.
"use strict";
(() => {
  page.unpack = async (letters) => {
    const text = atob(letters.trim());
    const bytes = new Uint8Array(text.length);
    for (let place = 0; place < text.length; place += 1) bytes[place] = text.charCodeAt(place);
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(stream).text());
  };

  page.unpackElement = (id) => page.unpack(document.getElementById(id).textContent);

  // A script beside the page calls page.deliver(name, data); it also loads from a folder.
  const waiting = new Map();
  page.deliver = (name, letters) => waiting.get(name)(page.unpack(letters));
  const loaded = new Map();
  page.load = (name) => {
    if (!loaded.has(name)) {
      loaded.set(name, new Promise((resolve, reject) => {
        waiting.set(name, resolve);
        const script = page.element("script", { src: name });
        script.addEventListener("error", () => { loaded.delete(name); reject(new Error(name)); });
        document.head.append(script);
      }));
    }
    return loaded.get(name);
  };
})();
