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
      this.sprites = new Map();
    }

    // `sets` are {pairs, shape, size, color, opacity, rugY?}; `map` takes data to pixels; without one all is cleared.
    paint(map, sets) {
      if (!this.canvas.isConnected) this.element.prepend(this.canvas);  // not before: ECharts empties the element
      const scale = window.devicePixelRatio || 1, { clientWidth, clientHeight } = this.element;
      const [width, height] = [Math.round(clientWidth * scale), Math.round(clientHeight * scale)];
      if (this.canvas.width !== width || this.canvas.height !== height) Object.assign(this.canvas, { width, height });
      const context = this.canvas.getContext("2d");
      context.setTransform(1, 0, 0, 1, 0, 0);
      context.clearRect(0, 0, width, height);
      if (!map) return;
      context.save();
      context.beginPath();
      context.rect((map.left - 3) * scale, (map.top - 3) * scale, (map.right - map.left + 6) * scale, (map.bottom - map.top + 6) * scale);
      context.clip();
      for (const set of sets) this.paintSet(context, scale, map, set);
      context.restore();
    }

    paintSet(context, scale, map, { pairs, rugY, ...look }) {
      const sprite = this.sprite(look, scale), half = sprite.width / 2;
      context.globalAlpha = look.opacity;
      for (let i = 0; i < pairs.length; i += 1) {
        const x = map.x(pairs.values[2 * i]), y = rugY === undefined ? map.y(pairs.values[2 * i + 1]) : map.bottom - rugY;
        context.drawImage(sprite, Math.round(x * scale - half), Math.round(y * scale - half));
      }
    }

    // One point drawn once, to be stamped.
    sprite({ shape, size, color }, scale) {
      const key = `${shape} ${size} ${color} ${scale}`;
      if (this.sprites.has(key)) return this.sprites.get(key);
      const side = 2 * Math.ceil((0.7 * size + 2) * scale), sprite = dom.el("canvas", { width: side, height: side });
      const context = sprite.getContext("2d");
      context.translate(side / 2, side / 2);
      context.scale(scale, scale);
      context.beginPath();
      SHAPES[shape](context, size / 2);
      Object.assign(context, { fillStyle: color, strokeStyle: color, lineWidth: 1.3 });
      if (shape === "ring") context.stroke();
      else context.fill();
      this.sprites.set(key, sprite);
      return sprite;
    }
  }

  mnas.PointsLayer = PointsLayer;
})(window.mnas = window.mnas || {});
