// Files and the clipboard: what a figure or a table shows, for other programs.
"use strict";
(() => {
  page.save = (name, content, type) => {
    const address = URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type }));
    page.element("a", { href: address, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(address), 1000);
  };

  // Spreadsheets run a text that begins like a formula; an apostrophe in front prevents that.
  const field = (value) => {
    if (value === null || value === undefined) return "";
    if (typeof value === "number") return String(value);
    const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  page.csv = (rows) => rows.map((row) => row.map(field).join(",") + "\r\n").join("");

  page.saveCsv = (name, rows) => page.save(`${name}.csv`, page.csv(rows), "text/csv");

  page.saveSvg = (name, drawing) => {
    drawing.setAttribute("xmlns", "http://www.w3.org/2000/svg");
    const text = new XMLSerializer().serializeToString(drawing);
    page.save(`${name}.svg`, text, "image/svg+xml");
  };

  page.copyButton = (label, content) => page.button(label, async (button) => {
    const text = content();
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // Without permission for the clipboard, the text is selected instead.
      const area = page.element("textarea", { value: text, className: "unseen" });
      button.after(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    button.textContent = say("Copied");
    setTimeout(() => { button.textContent = label; }, 1500);
  });
})();
