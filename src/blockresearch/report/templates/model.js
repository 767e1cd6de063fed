// The page of a model: its map, and the panel of the matrix that is open.
"use strict";
(async () => {
  const place = document.getElementById("map");
  if (!place) return;
  let about;
  try {
    about = await page.piece("map");
  } catch {
    return;
  }
  // Names are needed when a matrix is opened.
  let known = null;
  const names = () => {
    known ??= page.piece("names").then((data) => {
      const tensors = page.names(data.patterns, data.names);
      return {
        all: tensors,
        tensor: (matrix) => tensors[matrix],
        slice: (matrix) => data.slices[data.slice[matrix]],
      };
    });
    return known;
  };
  const { map } = about;
  const panel = page.tensorPanel({
    place: document.getElementById("tensor"), about, closed: () => { drawing?.choose(null); drawing?.focusChosen(); last?.focus(); },
  });
  let last = null;
  const metric = () => map.metrics.find((each) => each.key === (page.inAddress("metric") ?? map.metrics[0].key));
  // The values of a cell's matrices, if the page has their details.
  const valuesOf = async (matrices, key) => {
    const values = [];
    for (const matrix of matrices) {
      const piece = await page.piece(`details-${Math.floor(matrix / about.size)}`);
      values.push((piece.values[key] ?? [])[matrix % about.size] ?? null);
    }
    return values;
  };
  const openCell = async (cell, matrix) => {
    last = document.activeElement;
    const { first, count, column } = map.cells;
    const matrices = Array.from({ length: count[cell] }, (_, at) => first[cell] + at);
    const chosen = metric();
    const values = matrices.length > 1 ? await valuesOf(matrices, chosen.key).catch(() => null) : null;
    await panel.open(matrix ?? matrices[0], {
      label: page.label(map.columns[column[cell]].label), middle: about.medians[column[cell]], matrices, metric: chosen,
      values: values && values.some((value) => value !== null) ? values : null,
    }, await names());
  };
  const drawing = map && page.layerMap({ place, map, name: about.name, open: openCell });
  const cellOf = (matrix) =>
    (map ? map.cells.first.findLastIndex((first, cell) => first <= matrix && matrix < first + map.cells.count[cell]) : -1);
  const openMatrix = (matrix, all) => {
    const cell = cellOf(matrix);
    if (cell < 0) {
      drawing?.choose(null);
      last = document.activeElement;
      return panel.open(matrix, null, all);
    }
    drawing.choose(cell);
    return openCell(cell, matrix);
  };

  const outside = place.querySelector(".outside");
  if (outside && about.outside.length) {
    const all = await names();
    outside.append(say("Outside the layers:"), " ", ...about.outside.map((matrix) => page.button(
      `${all.tensor(matrix)} ${all.slice(matrix)}`.trim(), () => openMatrix(matrix, all))));
  }

  // Open a tensor by its name; whether the model has a matrix of that name.
  const open = async (name, part) => {
    const all = await names();
    const found = all.all.findIndex((other, matrix) => other === name && (!part || all.slice(matrix) === part));
    if (found >= 0) await openMatrix(found, all);
    return found >= 0;
  };
  page.openTensor = (name) => { open(name, null); return true; };
  page.onAddress(() => {
    const name = page.inAddress("tensor");
    if (name !== null) {
      open(name, page.inAddress("slice")).then((found) => {
        document.getElementById(found ? "tensor" : "parameters").scrollIntoView();
      });
    }
  });
  place.dataset.ready = "yes";
})();
