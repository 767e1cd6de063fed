// The filter of a table: parts of texts, and conditions such as layer>=2 or "stable rank"<10.
"use strict";
(() => {
  const OPERATIONS = {
    "<": (x, y) => x < y, "<=": (x, y) => x <= y, ">": (x, y) => x > y, ">=": (x, y) => x >= y,
    "=": (x, y) => x === y,
  };
  const PATTERN = /("[^"]+"|[^\s"<>=]+)(<=|>=|<|>|=)("[^"]*"|[^\s<>=]+)(?=\s|$)|"([^"]*)"|(\S+)/g;
  const bare = (text) => text.replaceAll('"', "").trim();
  const plain = (text) => bare(text).toLowerCase().replace(/[\s_-]+/g, "_");

  // Edits that turn one word into another.
  const distance = (a, b) => {
    let before = Array.from({ length: b.length + 1 }, (_, place) => place);
    for (let i = 1; i <= a.length; i += 1) {
      const row = [i];
      for (let j = 1; j <= b.length; j += 1) {
        row.push(Math.min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a[i - 1] !== b[j - 1])));
      }
      before = row;
    }
    return before[b.length];
  };

  // The name of a column closest to a word; null if none is similar.
  const closest = (word, columns) => {
    let found = null;
    for (const column of columns) {
      for (const name of [plain(column.label), plain(column.key)]) {
        const part = name.includes(word) || word.includes(name);
        const cost = part ? 0.5 + Math.abs(name.length - word.length) / 100 : distance(word, name);
        if (cost <= Math.max(2, word.length / 3) && (!found || cost < found.cost)) found = { name, cost };
      }
    }
    return found && found.name;
  };

  // What a text asks for: `terms` (lowercase), `conditions` (row => boolean), `problems` (sentences).
  page.readFilter = (text, data) => {
    const [terms, conditions, problems] = [[], [], []];
    for (const [word, name, operation, limit, quoted, other] of text.matchAll(PATTERN)) {
      if (!operation) {
        terms.push((quoted ?? other).toLowerCase());
        continue;
      }
      const wanted = plain(name);
      const column = data.columns.find(({ key, label }) => plain(key) === wanted || plain(label) === wanted);
      const said = { word, name: wanted, value: bare(limit) };
      if (!column) {
        const similar = closest(wanted, data.columns);
        problems.push(similar
          ? say("{word}: there is no column {name}; did you mean {similar}?", { ...said, similar })
          : say("{word}: there is no column {name}.", said));
      } else if (column.text) {
        if (operation !== "=") {
          problems.push(say("{word}: {name} contains text; write {name}={value}.", said));
          continue;
        }
        const part = said.value.toLowerCase();
        conditions.push((row) => data.text(column, row).toLowerCase().includes(part));
      } else if (said.value === "" || !Number.isFinite(Number(said.value))) {
        problems.push(say("{word}: {value} is not a number.", said));
      } else {
        const [values, holds, number] = [data.values[column.key], OPERATIONS[operation], Number(said.value)];
        conditions.push((row) => values[row] !== null && holds(values[row], number));
      }
    }
    return { terms, conditions, problems };
  };
})();
