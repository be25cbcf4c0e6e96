// Accuracy over latency of one run or of several: all trials, the fronts with their intervals, targets, constraints and
// reference models. ECharts draws axes, lines and marks; the points are drawn and looked up here, so that ten thousand
// of them answer at once.
"use strict";
(function (mnas) {
  const { charts } = mnas;
  const MANY = 2000;  // trials from which points are smaller and fainter
  const SHAPES = ["circle", "square", "diamond", "triangle"];  // of runs, beside their colours
  const RUG = { infeasible: 7, failed: 18 };  // pixels above the axis: these have a latency and no accuracy

  class FrontPicture {
    constructor(id, { isSmall = false } = {}) {
      this.scene = new mnas.FrontScene();
      this.axes = new mnas.FrontAxes(this.scene);
      this.picture = new charts.Picture(id, (c) => this.option(c));
      this.picture.onplace = () => this.settle();
      this.layer = new mnas.PointsLayer(this.picture.element);
      // `selection` is a rectangle {x0, x1, y0, y1} in milliseconds and percent; `map` takes data to pixels once they are drawn.
      Object.assign(this, { isSmall, element: this.picture.element, map: null, hand: null, selection: null, isDragging: false, onselect() {} });
    }

    draw(runs) {
      this.scene.runs = runs.filter((run) => run.loaded);
      this.picture.draw(JSON.stringify([this.scene.key(), this.axes.key()]));
      if (!this.picture.chart) return;
      this.hand ||= new mnas.FrontHand(this);
      this.picture.describe(this.scene.words());
    }

    option(c) {
      if (this.scene.isEmpty) return charts.empty(c, "No trials yet");
      return {
        title: { show: false }, tooltip: { show: false }, legend: { show: false },
        ...this.axes.options(c), series: mnas.frontSeries(this.scene, this.axes, c, this.isSmall),
      };
    }

    // ECharts has placed its axes: the points come to them.
    settle() {
      this.map = this.picture.chart && !this.scene.isEmpty ? this.axes.map(this.picture.chart) : null;
      const c = charts.colours(), sets = [];
      for (const [run, pairs, group] of this.scene.groups()) sets.push({ pairs, rugY: RUG[group], ...this.looks(run, c)[group] });
      this.layer.paint(this.map, sets);
      this.hand?.paintSelection();
    }

    // How the points of each group look: by state in one run, by run where there are several.
    looks(run, c) {
      const { runs } = this.scene, isOne = runs.length === 1, isMany = runs.reduce((sum, each) => sum + each.length, 0) > MANY;
      const size = this.isSmall && isMany ? 3.2 : this.isSmall || isMany ? 4.5 : 6, fade = (isOne ? 1 : 0.7) * (isMany ? 0.7 : 1);
      const look = (shape, color, opacity, of = size) => ({ shape, size: of, color: isOne ? color : mnas.frontColour(run, c), opacity: fade * opacity });
      return {
        complete: look(isOne ? "circle" : SHAPES[mnas.store.place(run) % SHAPES.length], c.grey, 0.6), cached: look("ring", c.sky, 0.8), stopped: look("triangle", c.purple, 0.75),
        infeasible: look("tick", c.red, 0.8, 9), failed: look("tick", c.ink, 0.7, 9),
      };
    }

    // How many of the shown trials the axes leave out.
    outside() {
      if (!this.map) return 0;
      const { left, right, bottom, x: toX, y: toY } = this.map;
      let count = 0;
      this.scene.each((x, y) => {
        const px = toX(x);
        if (px < left - 1 || px > right + 1 || toY(y) > bottom + 1) count += 1;
      });
      return count;
    }

    select(rectangle) {
      this.selection = rectangle;
      this.hand?.paintSelection();
      this.onselect();
    }

    // {run, row} of each shown trial inside the selection.
    selected() {
      if (!this.selection) return [];
      const { x0, x1, y0, y1 } = this.selection, found = [];
      this.scene.each((x, y, run, row) => { if (x >= x0 && x <= x1 && y >= y0 && y <= y1) found.push({ run, row }); });
      return found;
    }
  }

  mnas.FrontPicture = FrontPicture;
})(window.mnas = window.mnas || {});
