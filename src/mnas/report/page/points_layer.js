// Trials as points on a canvas of their own beneath ECharts': ten thousand take a few milliseconds, where a series
// of as many takes ECharts a tenth of a second each time anything changes.
"use strict";
(function (mnas) {
  const { dom } = mnas;

  const SHAPES = {
    circle(context, r) { context.arc(0, 0, r, 0, 2 * Math.PI); },
    square(context, r) { context.rect(-0.9 * r, -0.9 * r, 1.8 * r, 1.8 * r); },
    triangle(context, r) { polygon(context, [[0, -1.15 * r], [1.1 * r, 0.85 * r], [-1.1 * r, 0.85 * r]]); },
    diamond(context, r) { polygon(context, [[0, -1.25 * r], [1.25 * r, 0], [0, 1.25 * r], [-1.25 * r, 0]]); },
    tick(context, r) { context.rect(-0.8, -r, 1.6, 2 * r); },
  };
  SHAPES.ring = SHAPES.circle;

  function polygon(context, [[x, y], ...rest]) {
    context.moveTo(x, y);
    for (const [nextX, nextY] of rest) context.lineTo(nextX, nextY);
    context.closePath();
  }

  class PointsLayer {
    constructor(element) {
      this.element = element;
      this.canvas = dom.el("canvas", { class: "points-layer", "aria-hidden": "true" });
      this.stamps = new Map();
    }

    // `sets` are {pairs, shape, size, color, opacity, rugY?}; `map` takes data to pixels; without one all is cleared.
    paint(map, sets) {
      if (!this.canvas.isConnected) this.element.prepend(this.canvas);  // not before: ECharts empties the element
      const scale = window.devicePixelRatio || 1, { clientWidth, clientHeight } = this.element;
      const [width, height] = [Math.round(clientWidth * scale), Math.round(clientHeight * scale)];
      if (!width || !height) return;
      const context = this.canvas.getContext("2d");
      if (this.canvas.width !== width || this.canvas.height !== height) {
        Object.assign(this.canvas, { width, height });
        this.image = context.createImageData(width, height);
      } else this.image.data.fill(0);
      if (map) for (const set of sets) this.paintSet(scale, map, set);
      context.putImageData(this.image, 0, 0);
    }

    paintSet(scale, map, { pairs, rugY, ...look }) {
      const stamp = this.stamp(look, scale), half = stamp.side / 2;
      const [left, right, top, bottom] = [map.left - 4, map.right + 4, map.top - 4, map.bottom + 4];
      for (let i = 0; i < pairs.length; i += 1) {
        const x = map.x(pairs.values[2 * i]), y = rugY === undefined ? map.y(pairs.values[2 * i + 1]) : map.bottom - rugY;
        if (x >= left && x <= right && y >= top && y <= bottom) blend(this.image, stamp, Math.round(x * scale - half), Math.round(y * scale - half));
      }
    }

    // One point drawn once: its colour, and how much each of its pixels covers.
    stamp({ shape, size, color, opacity }, scale) {
      const key = `${shape} ${size} ${color} ${opacity} ${scale}`;
      if (this.stamps.has(key)) return this.stamps.get(key);
      const side = 2 * Math.ceil((0.7 * size + 1) * scale), context = dom.el("canvas", { width: side, height: side }).getContext("2d");
      context.translate(side / 2, side / 2);
      context.scale(scale, scale);
      context.beginPath();
      SHAPES[shape](context, size / 2);
      context.lineWidth = 1.3;
      if (shape === "ring") context.stroke();
      else context.fill();
      const { data } = context.getImageData(0, 0, side, side);
      const cover = Float32Array.from({ length: side * side }, (_, pixel) => (opacity * data[4 * pixel + 3]) / 255);
      const stamp = { side, cover, rgb: [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16)) };
      this.stamps.set(key, stamp);
      return stamp;
    }
  }

  // Lay a stamp over what is there. By hand, since handing a canvas ten thousand stamps takes it ten times as long.
  function blend({ data, width, height }, { side, cover, rgb: [r, g, b] }, left, top) {
    for (let row = 0; row < side; row += 1) {
      const y = top + row;
      if (y < 0 || y >= height) continue;
      for (let column = 0; column < side; column += 1) {
        const alpha = cover[row * side + column], x = left + column;
        if (alpha === 0 || x < 0 || x >= width) continue;
        const at = 4 * (y * width + x), under = (data[at + 3] / 255) * (1 - alpha), all = alpha + under;
        data[at] = (r * alpha + data[at] * under) / all;
        data[at + 1] = (g * alpha + data[at + 1] * under) / all;
        data[at + 2] = (b * alpha + data[at + 2] * under) / all;
        data[at + 3] = 255 * all;
      }
    }
  }

  mnas.PointsLayer = PointsLayer;
})(window.mnas = window.mnas || {});
