// The data of the page of a model, in pieces: small ones in the page, large ones in scripts beside it.
"use strict";
(() => {
  page.piece = (name) => (document.getElementById(`data-${name}`)
    ? page.unpackElement(`data-${name}`)
    : page.load(`details/${name}.js`));

  // Names from patterns and, row by row, a pattern's number or [number, what fills its #].
  page.names = (patterns, packed) => {
    const parts = patterns.map((pattern) => pattern.split("#"));
    return packed.map((entry) => {
      if (typeof entry === "number") return patterns[entry];
      const [first, ...rest] = parts[entry[0]];
      return rest.reduce((name, part, place) => name + entry[place + 1] + part, first);
    });
  };
})();
