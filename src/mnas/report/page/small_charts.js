// A learning curve and latency samples as small drawings. What they show is said in words beside them.
"use strict";
(function (mnas) {
  const { dom, words } = mnas;
  const { svg } = dom;
  const WIDTH = 320, HEIGHT = 110, LEFT = 52, RIGHT = 8, TOP = 8, BOTTOM = 20;

  // Data to a pixel between two ends; what is all the same stands in the middle.
  const scale = (low, high, from, to) => (value) => (high > low ? from + ((to - from) * (value - low)) / (high - low) : (from + to) / 2);

  const frame = (...children) => svg("svg", { class: "small-chart", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, width: WIDTH, height: HEIGHT, "aria-hidden": "true" },
    svg("line", { class: "axis", x1: LEFT, x2: WIDTH - RIGHT, y1: HEIGHT - BOTTOM, y2: HEIGHT - BOTTOM }), children);

  const label = (x, y, text, anchor) => svg("text", { x, y, "text-anchor": anchor }, text);

  const ends = (low, high) => [label(LEFT, HEIGHT - 5, low, "start"), label(WIDTH - RIGHT, HEIGHT - 5, high, "end")];

  // Accuracies (fractions, null where an epoch gave none) after each epoch.
  function curve(values) {
    const known = values.filter(words.known), low = Math.min(...known), high = Math.max(...known);
    const x = scale(0, values.length - 1, LEFT + 6, WIDTH - RIGHT - 6), y = scale(low, high, HEIGHT - BOTTOM - 8, TOP + 4);
    const points = values.map((value, index) => [x(index), y(value), value]).filter(([, , value]) => words.known(value));
    return frame(
      label(LEFT - 6, TOP + 8, `${words.percent(high, 1)} %`, "end"),
      high > low ? label(LEFT - 6, HEIGHT - BOTTOM - 4, `${words.percent(low, 1)} %`, "end") : null,
      ends("epoch 1", values.length > 1 ? `epoch ${values.length}` : ""),
      svg("polyline", { class: "line", points: points.map(([px, py]) => `${px.toFixed(1)},${py.toFixed(1)}`).join(" ") }),
      points.map(([px, py]) => svg("circle", { cx: px.toFixed(1), cy: py.toFixed(1), r: 2.6 })));
  }

  // Samples in ms, apart from each other by height alone; the estimate as a line in its interval.
  function samples(values, { latency_ms: estimate, low_ms: low, high_ms: high }) {
    const all = [...values, estimate, low, high].filter(words.known), from = Math.min(...all), to = Math.max(...all);
    const x = scale(from, to, LEFT + 6, WIDTH - RIGHT - 6), middle = HEIGHT - BOTTOM - TOP;
    return frame(
      words.known(low) && words.known(high) ? svg("rect", { class: "interval", x: x(low), y: TOP, width: Math.max(1, x(high) - x(low)), height: middle }) : null,
      words.known(estimate) ? svg("line", { class: "estimate", x1: x(estimate), x2: x(estimate), y1: TOP, y2: TOP + middle }) : null,
      values.map((value, index) => svg("circle", { class: "sample", cx: x(value).toFixed(1), cy: (TOP + middle * (0.15 + 0.7 * spread(index))).toFixed(1), r: 3 })),
      ends(`${words.ms(from)} ms`, `${words.ms(to)} ms`));
  }

  const spread = (index) => (index * 0.618034) % 1;  // apart, and the same each time

  mnas.smallCharts = { curve, samples, spread };
})(window.mnas = window.mnas || {});
