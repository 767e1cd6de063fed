// The part of the address after #: what a page shows, so that a link shows the same.
"use strict";
(() => {
  const read = () => new URLSearchParams(location.hash.slice(1));

  page.inAddress = (key) => read().get(key);

  // Keep values in the address; an empty one is left out.
  page.toAddress = (values) => {
    const all = read();
    for (const [key, value] of Object.entries(values)) {
      if (value === "" || value === null || value === undefined) all.delete(key);
      else all.set(key, value);
    }
    const text = all.toString();
    history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
  };

  page.onAddress = (follow) => {
    addEventListener("hashchange", follow);
    follow();
  };
})();
