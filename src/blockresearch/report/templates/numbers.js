// Numbers as readers see them, and a few statistics.
"use strict";
(() => {
  const whole = new Intl.NumberFormat("en-US");
  const SUPERSCRIPTS = { "-": "⁻", "+": "", ...Object.fromEntries([..."⁰¹²³⁴⁵⁶⁷⁸⁹"].entries()) };
  const minus = (text) => text.replace("-", "−");

  page.whole = (value) => minus(whole.format(value));

  page.number = (value, digits = 4) => {
    if (value === null || value === undefined) return "–";
    const size = Math.abs(value);
    if (size === 0) return "0";
    if (size < 1e-3 || size >= 1e6) {
      const [mantissa, power] = value.toExponential(Math.max(digits - 2, 0)).split("e");
      return `${minus(mantissa)} × 10${[...power].map((sign) => SUPERSCRIPTS[sign]).join("")}`;
    }
    return minus(size >= 1e4 ? whole.format(Math.round(value)) : value.toPrecision(digits));
  };

  // The same in few characters, for axes.
  page.tick = (value) => {
    const size = Math.abs(value);
    if (size === 0) return "0";
    if (size < 1e-3 || size >= 1e5) {
      const [mantissa, power] = value.toExponential(1).split("e");
      const exponent = [...power].map((sign) => SUPERSCRIPTS[sign]).join("");
      return mantissa.replace(".0", "") === "1" ? `10${exponent}` : `${minus(mantissa)}×10${exponent}`;
    }
    return minus(size >= 1e3 ? whole.format(value) : String(Number(value.toPrecision(3))));
  };

  page.median = (values) => {
    const known = values.filter((value) => value !== null).sort((a, b) => a - b);
    if (!known.length) return null;
    const middle = known.length >> 1;
    return known.length % 2 ? known[middle] : (known[middle - 1] + known[middle]) / 2;
  };
})();
