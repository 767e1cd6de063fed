// Colors of numbers: around a median (blue below, red above) or from the smallest to the largest.
"use strict";
(() => {
  const STOPS = {
    around: {
      light: ["#2166ac", "#4393c3", "#92c5de", "#d1e5f0", "#f7f7f7", "#fddbc7", "#f4a582", "#d6604d", "#b2182b"],
      dark: ["#9fd0f7", "#5ea9dd", "#39749f", "#2b4a61", "#30353c", "#613a2f", "#a14f39", "#e0725c", "#ffb19c"],
    },
    along: {
      light: ["#440154", "#472d7b", "#3b528b", "#2c728e", "#21918c", "#28ae80", "#5ec962", "#addc30", "#fde725"],
      dark: ["#440154", "#472d7b", "#3b528b", "#2c728e", "#21918c", "#28ae80", "#5ec962", "#addc30", "#fde725"],
    },
  };
  const channels = (color) => [1, 3, 5].map((place) => parseInt(color.slice(place, place + 2), 16));

  // The color at a share, 0 to 1, of a scale (around, along).
  page.colorAt = (kind, share) => {
    const stops = STOPS[kind][page.isDark() ? "dark" : "light"];
    const place = Math.min(Math.max(share, 0), 1) * (stops.length - 1);
    const [low, high] = [channels(stops[Math.floor(place)]), channels(stops[Math.ceil(place)])];
    const part = place - Math.floor(place);
    return `#${low.map((value, at) =>
      Math.round(value + (high[at] - value) * part).toString(16).padStart(2, "0")).join("")}`;
  };

  const factor = (power) => {
    if (power === 0) return say("median");
    return `${power > 0 ? "×" : "÷"} ${Number((2 ** Math.abs(power)).toPrecision(2))}`;
  };
  const signed = (value) =>
    (value === 0 ? say("median") : `${value > 0 ? "+" : "−"}${page.tick(Math.abs(value))}`);

  // A scale for values: color(value, median of its column) and stops [[color, label]].
  page.scaleAround = (metric) => {
    const written = metric.scale === "ratio" ? factor : signed;
    const share = (value, middle) => {
      if (metric.scale !== "ratio") return 0.5 + (value - middle) / (2 * metric.end);
      return value > 0 && middle > 0 ? 0.5 + Math.log2(value / middle) / (2 * metric.end) : null;
    };
    return {
      color: (value, middle) => {
        if (value === null || middle === null) return null;
        const at = share(value, middle);
        return at === null ? null : page.colorAt("around", at);
      },
      stops: [-1, -2 / 3, -1 / 3, 0, 1 / 3, 2 / 3, 1].map((part) =>
        [page.colorAt("around", 0.5 + part / 2), written(part * metric.end)]),
    };
  };
  // Of a ratio by the logarithm of the values above 0. `metric.span` is what the colors span at least, so
  // that nearly equal cells look equal.
  page.scaleAlong = (metric, values) => {
    const isLog = metric.scale === "ratio";
    const known = values.filter((value) => value !== null && (value > 0 || !isLog));
    let [low, high] = known.length ? [Math.min(...known), Math.max(...known)] : [1, 1];
    if (isLog) {
      const factor = metric.span ?? 1.1, middle = Math.sqrt(low * high);
      if (high < low * factor) [low, high] = [middle / Math.sqrt(factor), middle * Math.sqrt(factor)];
    } else if (high - low < (metric.span ?? 0)) {
      low = high - metric.span;
    } else if (!(high > low)) {
      [low, high] = [low - Math.abs(low) / 10 - 1e-9, high + Math.abs(high) / 10 + 1e-9];
    }
    const share = (value) => (isLog ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low));
    const value = (part) => (isLog ? low * (high / low) ** part : low + part * (high - low));
    return {
      color: (one) => (one === null || (isLog && one <= 0) ? null : page.colorAt("along", share(one))),
      stops: [0, 0.25, 0.5, 0.75, 1].map((part) => [page.colorAt("along", part), page.tick(value(part))]),
    };
  };
})();
