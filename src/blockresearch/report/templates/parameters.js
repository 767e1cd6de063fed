// The table of parameters on the page of a model.
"use strict";
(async () => {
  const place = document.getElementById("parameter-table");
  let data;
  try {
    data = await page.piece("parameters");
  } catch {
    place.querySelector(".shown").textContent = say("This browser cannot unpack the table; the files below have the same data.");
    return;
  }
  // A name is a pattern, or [pattern, the numbers that stand for its marks].
  data.texts.param_name = page.names(data.texts.param_name, data.values.param_name);
  data.values.param_name = data.texts.param_name.map((_, row) => row);
  for (const column of data.columns) {
    column.about = document.getElementById(`about-params.${column.key}`).textContent;
  }
  data.searched = ["param_name"];
  data.choices = ["component", "block_type", "role", "dtype"];
  const link = (name) => {
    const made = page.element("a", { href: `#${new URLSearchParams({ tensor: name })}` }, [page.isolated(name)]);
    made.addEventListener("click", (event) => {
      // The link shows this row alone; a click leaves the table as it is.
      if (page.openTensor?.(name)) event.preventDefault();
    });
    return made;
  };
  const table = page.table({
    place, data, name: "parameters", prefix: "",
    caption: say("Parameters, one row per tensor"),
    count: (order) => say("{shown} of {all} tensors, {parameters} parameters", {
      shown: page.whole(order.length), all: page.whole(data.rows),
      parameters: page.whole(order.reduce((total, row) => total + (data.values.numel[row] || 0), 0)),
    }),
    open: { key: "param_name", link },
  });
  page.showRow = (name) => table.only(name);
  // A link to a tensor shows its row: #tensor=NAME.
  page.onAddress(() => {
    const name = page.inAddress("tensor");
    if (name === null) return;
    table.only(name);
    if (!document.getElementById("tensor")) document.getElementById("parameters").scrollIntoView();
  });
})();
