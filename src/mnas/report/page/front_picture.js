// Accuracy over latency of one run or of several: all trials, the fronts with their intervals, targets, constraints and
// reference models. ECharts draws axes, lines and marks; the points are drawn and looked up here, so that ten thousand
// of them answer at once.
"use strict";
(function (mnas) {
  const { charts, dom, words, points } = mnas;
  const { el } = dom;
  const NEAR = 14;  // pixels
  const MANY = 2000;  // trials from which points are smaller and fainter
  const SHAPES = ["circle", "square", "diamond", "triangle"];  // of runs, beside their colours
  const STAR = "path://M0,-10 L2.9,-3.6 L9.8,-3.2 L4.5,1.4 L6.2,8.1 L0,4.4 L-6.2,8.1 L-4.5,1.4 L-9.8,-3.2 L-2.9,-3.6 Z";
  const RUG = { infeasible: 7, failed: 18 };  // pixels above the axis: these have a latency and no accuracy

  class FrontPicture {
    constructor(id, { isSmall = false } = {}) {
      Object.assign(this, { isSmall, runs: [], shown: new Set(["complete", "stopped", "infeasible", "failed"]), scale: { x: "linear", y: "linear" }, zoom: null, isWhole: false, selection: null });
      this.picture = new charts.Picture(id, (c) => this.option(c));
      this.element = this.picture.element;
      this.layer = new mnas.PointsLayer(this.element);
      this.picture.onplace = () => this.settle();
      this.onselect = () => {};
    }

    draw(runs) {
      this.runs = runs.filter((run) => run.loaded);
      const key = JSON.stringify([this.runs.map((run) => [run.id, run.generation, run.version, run.description?.target_ms, run.description?.references.length]), [...this.shown], this.scale, this.zoom, this.isWhole]);
      const wasMade = Boolean(this.picture.chart);
      this.picture.draw(key);
      if (!this.picture.chart) return;
      if (!wasMade) this.listen();
      this.picture.describe(this.words());
    }

    words() {
      const parts = this.runs.map((run) => {
        const front = this.frontOf(run);
        if (!front.length) return `${run.name}: ${words.plural(run.length, "trial")}, no front yet`;
        const [first, last] = [front[0], front[front.length - 1]];
        return `${run.name}: ${words.plural(run.length, "trial")}, a front of ${words.plural(front.length, "network")} from ${words.ms(first.x)} ms at ${first.y.toFixed(2)} % to ${words.ms(last.x)} ms at ${last.y.toFixed(2)} %`;
      });
      return `Accuracy over latency. ${parts.join(". ")}`;
    }

    frontOf(run) {
      const { latency_ms: ms, low_ms: low, high_ms: high, accuracy } = run.columns;
      return run.front.map((number) => run.place.get(number)).filter((row) => row !== undefined && ms[row] !== null)
        .map((row) => ({ row, run, x: ms[row], y: 100 * accuracy[row], low: low[row] ?? ms[row], high: high[row] ?? ms[row] }));
    }

    // -- drawing ------------------------------------------------------------------------------------------

    // Of the error scale: how far below 100 % a point is, drawn upside down on a logarithmic axis.
    toY(accuracy) { return this.scale.y === "log" ? Math.max(0.01, 100 - accuracy) : accuracy; }

    option(c) {
      this.sorted = {};
      if (!this.runs.some((run) => run.length)) return charts.empty(c, "No trials yet");
      const series = this.runs.flatMap((run) => this.seriesOf(run, c));
      series.push(...this.lines(c), ...this.referenceSeries(c));
      return {
        grid: { left: 8, right: this.isSmall ? 12 : 18, top: 6, bottom: 4, outerBoundsMode: "same", outerBoundsContain: "all" },
        title: { show: false },
        tooltip: { show: false },
        legend: { show: false },
        xAxis: [charts.axis(c, "latency (ms)", { isX: true, show: true, type: this.scale.x === "log" ? "log" : "value", ...this.bounds("x"), axisLabel: { color: c.muted, fontSize: 12, hideOverlap: true, formatter: (value) => words.short(value) } })],
        yAxis: [charts.axis(c, this.scale.y === "log" ? "accuracy (%), log of the error" : "accuracy (%)", this.yAxis(c))],
        series,
      };
    }

    yAxis(c) {
      if (this.scale.y !== "log") return { show: true, type: "value", inverse: false, ...this.bounds("y") };
      const formatter = (value) => String(Number((100 - value).toPrecision(4)));
      return { show: true, type: "log", inverse: true, ...this.bounds("y"), axisLabel: { color: c.muted, fontSize: 12, hideOverlap: true, formatter } };
    }

    // The range of an axis: the zoom, or all that is shown with a little air.
    bounds(axis) {
      if (this.zoom) {
        const { x0, x1, y0, y1 } = this.zoom;
        if (axis === "x") return { min: x0, max: x1 };
        return this.scale.y === "log" ? { min: this.toY(y1), max: this.toY(y0) } : { min: y0, max: y1 };
      }
      const [low, high] = this.isWhole || this.scale[axis] === "log" ? this.extent(axis) : this.usual(axis);
      if (low > high) return {};
      if (this.scale[axis] === "log") return { min: low / 1.06, max: high * 1.06 };
      const step = niceStep((high - low) || Math.abs(high) || 1);
      const least = Math.floor((low - 0.02 * (high - low)) / step) * step;
      return { min: tidy(axis === "x" ? Math.max(0, least) : least), max: tidy(Math.ceil((high + 0.02 * (high - low)) / step) * step), interval: tidy(step) };
    }

    // Without the few that lie far off: trainings that went wrong, networks of a multiple of the latency.
    usual(axis) {
      const [low, high] = this.extent(axis), values = this.valuesOf(axis);
      if (values.length < 20) return [low, high];
      const [most0, most1] = this.extent(axis, false), at = (share) => values[Math.floor(share * (values.length - 1))];
      const from = Math.min(most0, at(0.02)), to = Math.max(most1, at(0.98)), air = 0.35 * (to - from);
      return [axis === "y" && low < from - air ? from - 0.1 * (to - from) : low, axis === "x" && high > to + air ? to + 0.1 * (to - from) : high];
    }

    // How many of the shown trials the axes leave out.
    outside() {
      if (!this.map) return 0;
      const { left, right, bottom } = this.map;
      let count = 0;
      for (const [, pairs, group] of this.visible()) {
        for (let i = 0; i < pairs.length; i += 1) {
          const x = this.map.x(pairs.values[2 * i]);
          if (x < left - 1 || x > right + 1 || (!(group in RUG) && this.map.y(pairs.values[2 * i + 1]) > bottom + 1)) count += 1;
        }
      }
      return count;
    }

    valuesOf(axis) {
      if (this.sorted[axis]) return this.sorted[axis];
      const values = [], offset = axis === "x" ? 0 : 1;
      for (const [, pairs] of this.visible()) for (let i = offset; i < 2 * pairs.length; i += 2) if (Number.isFinite(pairs.values[i])) values.push(axis === "x" ? pairs.values[i] : this.toY(pairs.values[i]));
      this.sorted[axis] = Float64Array.from(values).sort();
      return this.sorted[axis];
    }

    // Of what has to be in the picture, and of all the trials unless `withTrials` is false.
    extent(axis, withTrials = true) {
      let low = Infinity, high = -Infinity;
      const take = (value) => { if (Number.isFinite(value)) { low = Math.min(low, value); high = Math.max(high, value); } };
      const values = withTrials ? this.valuesOf(axis) : [];
      if (values.length) { take(values[0]); take(values[values.length - 1]); }
      for (const run of this.runs) {
        for (const one of this.references(run)) take(axis === "x" ? one.latency_ms : this.toY(100 * one.accuracy));
        if (axis === "x" && run.description?.target_ms) take(run.description.target_ms);
        for (const point of this.frontOf(run)) take(axis === "x" ? point.x : this.toY(point.y));
      }
      return [low, high];
    }

    extentOfAccuracy() {
      const [low, high] = this.extent("y");
      return this.scale.y === "log" ? [100 - high, 100 - low] : [low, high];
    }

    // [run, pairs, group] of what is shown.
    * visible() {
      for (const run of this.runs) {
        const groups = points.of(run);
        for (const group of points.GROUPS) if (this.shown.has(group)) yield [run, groups[group], group];
      }
    }

    // A run keeps its colour, whichever others are shown.
    colourOf(run, c) { return c.runs[mnas.store.place(run) % c.runs.length]; }

    seriesOf(run, c) {
      const colour = this.colourOf(run, c);
      return [...this.frontSeries(run, colour, c), ...this.bestSeries(run, this.runs.length === 1 ? c.orange : colour, c)];
    }

    // How the points of each group look: by state in one run, by run where there are several.
    looks(run, c) {
      const isOne = this.runs.length === 1, colour = this.colourOf(run, c), isMany = this.runs.reduce((sum, run) => sum + run.length, 0) > MANY;
      const size = this.isSmall && isMany ? 3.2 : this.isSmall || isMany ? 4.5 : 6, fade = (isOne ? 1 : 0.7) * (isMany ? 0.7 : 1);
      const look = (shape, color, opacity, of = size) => ({ shape, size: of, color: isOne ? color : colour, opacity: fade * opacity });
      return {
        complete: look(isOne ? "circle" : SHAPES[mnas.store.place(run) % SHAPES.length], c.grey, 0.6), cached: look("ring", c.sky, 0.8), stopped: look("triangle", c.purple, 0.75),
        infeasible: look("tick", c.red, 0.8, 9), failed: look("tick", c.ink, 0.7, 9),
      };
    }

    paintPoints() {
      const c = charts.colours(), sets = [];
      for (const [run, pairs, group] of this.visible()) sets.push({ pairs, rugY: RUG[group], ...this.looks(run, c)[group] });
      this.layer.paint(this.map, sets);
    }

    frontSeries(run, colour, c) {
      const front = this.frontOf(run), data = front.map((point) => [point.x, this.toY(point.y), point.low, point.high]);
      return [
        stairs(`${run.id} line`, data, colour),
        { id: `${run.id} front`, type: "scatter", silent: true, symbol: "circle", symbolSize: this.isSmall ? 6 : 9, z: 4, data: data.map((row) => row.slice(0, 2)), itemStyle: { color: colour, borderColor: c.card, borderWidth: 1 } },
        whiskers(`${run.id} bars`, data, colour),
      ];
    }

    bestSeries(run, colour, c) {
      const row = run.place.get(run.best);
      if (row === undefined || run.columns.latency_ms[row] === null) return [];
      return [{ id: `${run.id} best`, type: "scatter", silent: true, symbol: STAR, symbolSize: this.isSmall ? 15 : 19, z: 6, itemStyle: { color: colour, borderColor: c.ink, borderWidth: 1 }, data: [[run.columns.latency_ms[row], this.toY(100 * run.columns.accuracy[row])]] }];
    }

    // Targets and the cap on latency, each value once however many runs have it.
    lines(c) {
      const marks = new Map();
      for (const run of this.runs) {
        const d = run.description;
        if (!d) continue;
        if (d.target_ms) marks.set(`target ${words.short(d.target_ms)} ms`, [d.target_ms, c.orange, "dashed"]);
        for (const one of d.constraints) if (one.name === "max_latency_ms") marks.set(`at most ${words.short(one.value)} ms`, [one.value, c.red, "solid"]);
      }
      const { min, max } = this.bounds("x"), place = (x) => (x - min) / (max - min);
      const align = (x) => (place(x) > 0.9 ? "right" : place(x) < 0.06 ? "left" : "center");  // in the picture to its end
      const data = [...marks].map(([name, [x, color, type]]) => ({ xAxis: x, name, lineStyle: { color, type, width: 1.5 }, label: { formatter: name, color: c.muted, fontSize: 12, align: align(x) } }));
      return [{ id: "lines", type: "line", data: [], silent: true, markLine: { silent: true, symbol: "none", animation: false, data, label: { position: "end", show: !this.isSmall || data.length < 2 } } }];
    }

    // With their place in the API's list.
    references(run) { return (run.description?.references || []).map((one, index) => ({ ...one, run, index })); }

    allReferences() {
      const byLabel = new Map();
      for (const run of this.runs) for (const one of this.references(run)) byLabel.set(`${one.label} ${one.latency_ms} ${one.accuracy}`, one);
      return [...byLabel.values()];
    }

    referenceSeries(c) {
      const all = this.allReferences();
      const data = all.map((one) => [one.latency_ms, this.toY(100 * one.accuracy), one.low_ms ?? one.latency_ms, one.high_ms ?? one.latency_ms]);
      // Hollow: retrained longer than trials are, so its accuracy is of another kind.
      const full = { color: c.red, borderColor: c.card, borderWidth: 1 }, hollow = { color: c.card, borderColor: c.red, borderWidth: 1.6 };
      const label = { show: !this.isSmall, position: "right", distance: 6, color: c.ink, fontSize: 12, formatter: ({ dataIndex }) => `${all[dataIndex].label}${all[dataIndex].kind === "retrained" ? " (retrained)" : ""}`, textBorderColor: c.card, textBorderWidth: 3 };
      return [
        { id: "references", type: "scatter", silent: true, symbol: "diamond", symbolSize: 11, z: 3, label, labelLayout: { hideOverlap: true, moveOverlap: "shiftY" }, data: data.map((row, index) => ({ value: row.slice(0, 2), itemStyle: all[index].kind === "retrained" ? hollow : full })) },
        whiskers("reference bars", data, c.red),
      ];
    }

    // -- looking up ---------------------------------------------------------------------------------------

    // How data become pixels, read from ECharts once for each drawing.
    settle() {
      const { chart } = this.picture;
      this.map = null;
      if (!chart || !this.runs.some((run) => run.length)) return this.paintPoints();
      const f = this.scale.x === "log" ? Math.log10 : (v) => v, g = this.scale.y === "log" ? (v) => Math.log10(this.toY(v)) : (v) => v;
      const [left, top, right, bottom] = this.frame();
      const [x0, y1] = chart.convertFromPixel({ gridIndex: 0 }, [left, top]);
      const [x1, y0] = chart.convertFromPixel({ gridIndex: 0 }, [right, bottom]);
      const ends = this.scale.y === "log" ? [Math.log10(y0), Math.log10(y1)] : [y0, y1];
      const a = (right - left) / (f(x1) - f(x0)), b = (top - bottom) / (ends[1] - ends[0]);
      this.map = { left, top, right, bottom, x: (v) => left + a * (f(v) - f(x0)), y: (v) => bottom + b * (g(v) - ends[0]) };
      this.paintPoints();
      this.paintSelection();
    }

    frame() {
      const { x, y, width, height } = this.picture.chart.getModel().getComponent("grid").coordinateSystem.getRect();
      return [x, y, x + width, y + height];
    }

    toData(px, py) {
      const [x, y] = this.picture.chart.convertFromPixel({ gridIndex: 0 }, [px, py]);
      return [x, this.scale.y === "log" ? 100 - y : y];
    }

    // The trial or reference nearest to a pixel, if one is near; those of the front first.
    nearest(px, py) {
      if (!this.map) return null;
      const { x, y } = this.map;
      let found = null, least = NEAR * NEAR;
      for (const run of this.runs) for (const point of this.frontOf(run)) take({ run, row: point.row }, point.x, point.y, 36);
      for (const one of this.allReferences()) take({ run: one.run, reference: one }, one.latency_ms, 100 * one.accuracy, 36);
      for (const [run, pairs, group] of this.visible()) {
        if (group in RUG) continue;
        for (let i = 0; i < pairs.length; i += 1) {
          const dx = x(pairs.values[2 * i]) - px;
          if (dx > NEAR || dx < -NEAR) continue;
          const dy = y(pairs.values[2 * i + 1]) - py, far = dx * dx + dy * dy;
          if (far < least) { least = far; found = { run, row: pairs.rows[i] }; }
        }
      }
      function take(thing, dataX, dataY, bonus) {
        const dx = x(dataX) - px, dy = y(dataY) - py, far = dx * dx + dy * dy - bonus;
        if (far < least) { least = far; found = thing; }
      }
      return found;
    }

    listen() {
      const zr = this.picture.chart.getZr(), graphic = window.echarts.graphic;
      this.tip = el("div", { class: "tip", hidden: true });
      this.element.append(this.tip);
      this.ring = new graphic.Circle({ shape: { r: 8 }, style: { fill: "none", lineWidth: 2 }, zlevel: 1, silent: true, ignore: true });
      this.shade = new graphic.Rect({ zlevel: 1, silent: true, ignore: true });
      zr.add(this.ring);
      zr.add(this.shade);
      this.element.addEventListener("pointermove", (event) => { this.isTouch = event.pointerType === "touch"; });
      this.element.addEventListener("pointerdown", (event) => { this.isTouch = event.pointerType === "touch"; });
      zr.on("mousemove", (event) => this.moved(event));
      zr.on("mousedown", (event) => this.pressed(event));
      zr.on("mouseup", (event) => this.released(event));
      zr.on("globalout", () => { if (!this.drag) this.point(null); });
      if (this.isSmall) return;
      window.addEventListener("pointerup", () => this.finish());
      this.element.addEventListener("keydown", (event) => this.key(event));
      this.element.addEventListener("blur", () => this.point(null));
    }

    moved({ offsetX, offsetY }) {
      if (this.drag) {
        this.drag.to = [offsetX, offsetY];
        if (this.isDragged()) { this.point(null); this.paintRectangle(this.drag.from, this.drag.to); }
        return;
      }
      this.point(this.nearest(offsetX, offsetY));
    }

    isDragged() {
      const { from, to } = this.drag;
      return Math.abs(to[0] - from[0]) > 4 || Math.abs(to[1] - from[1]) > 4;
    }

    pressed({ offsetX, offsetY }) {
      if (this.isSmall || !this.map || (this.isTouch && !this.isDragging)) return;
      this.wasDragged = false;
      this.drag = { from: [offsetX, offsetY], to: [offsetX, offsetY] };
    }

    released({ offsetX, offsetY }) {
      this.finish();
      if (this.wasDragged) return;  // the end of a selection is no click, whatever lies beneath it
      const found = this.nearest(offsetX, offsetY);
      const isSame = found && this.pointed && found.row === this.pointed.row && found.run === this.pointed.run;
      if (this.isTouch && !isSame) this.point(found);  // a finger does not hover: the first touch names it, the second opens it
      else if (found) this.openOne(found);
    }

    openOne({ run, row, reference }) {
      if (this.isSmall) window.location.hash = "#/front";
      else window.location.hash = reference ? `#/network/${run.id}/ref/${reference.index}` : `#/network/${run.id}/${run.columns.number[row]}`;
    }

    finish() {
      if (!this.drag) return;
      this.wasDragged = this.isDragged();
      if (this.wasDragged) {
        const [[ax, ay], [bx, by]] = [this.toData(...this.inside(this.drag.from)), this.toData(...this.inside(this.drag.to))];
        this.select({ x0: Math.min(ax, bx), x1: Math.max(ax, bx), y0: Math.min(ay, by), y1: Math.max(ay, by) });
      }
      this.drag = null;
    }

    inside([px, py]) {
      const { left, top, right, bottom } = this.map;
      return [Math.min(right, Math.max(left, px)), Math.min(bottom, Math.max(top, py))];
    }

    select(rectangle) {
      this.selection = rectangle;
      this.paintSelection();
      this.onselect();
    }

    // {run, row} of each shown trial inside the selection.
    selected() {
      if (!this.selection) return [];
      const { x0, x1, y0, y1 } = this.selection, found = [];
      for (const [run, pairs, group] of this.visible()) {
        if (group in RUG) continue;
        for (let i = 0; i < pairs.length; i += 1) {
          const x = pairs.values[2 * i], y = pairs.values[2 * i + 1];
          if (x >= x0 && x <= x1 && y >= y0 && y <= y1) found.push({ run, row: pairs.rows[i] });
        }
      }
      return found;
    }

    paintSelection() {
      if (!this.shade) return;
      if (!this.selection || !this.map) { this.shade.attr({ ignore: true }); return; }
      const { x0, x1, y0, y1 } = this.selection;
      this.paintRectangle(this.inside([this.map.x(x0), this.map.y(y0)]), this.inside([this.map.x(x1), this.map.y(y1)]));
    }

    paintRectangle(a, b) {
      const c = charts.colours();
      const [[ax, ay], [bx, by]] = [this.inside(a), this.inside(b)];
      this.shade.attr({ ignore: false, shape: { x: Math.min(ax, bx), y: Math.min(ay, by), width: Math.abs(bx - ax), height: Math.abs(by - ay) }, style: { fill: c.blue, fillOpacity: 0.12, stroke: c.blue, lineWidth: 1.2 } });
    }

    // -- naming -------------------------------------------------------------------------------------------

    // Ring and words at one network, or nothing.
    point(thing) {
      this.pointed = thing;
      this.element.classList.toggle("pointing", Boolean(thing));
      if (!thing) {
        this.tip.hidden = true;
        this.ring.attr({ ignore: true });
        return;
      }
      const { run, row, reference } = thing;
      const dataX = reference ? reference.latency_ms : run.columns.latency_ms[row];
      const dataY = 100 * (reference ? reference.accuracy : run.columns.accuracy[row]);
      const x = this.map.x(dataX), y = this.map.y(dataY);
      this.ring.attr({ ignore: false, shape: { cx: x, cy: y, r: 8 }, style: { stroke: charts.colours().ink } });
      this.tip.replaceChildren(...(reference ? referenceWords(reference) : trialWords(run, row, this.runs.length > 1)));
      this.tip.hidden = false;
      this.placeTip(x, y);
    }

    placeTip(x, y) {
      const { offsetWidth: width, offsetHeight: height } = this.tip, room = this.element.clientWidth;
      const left = x + 16 + width <= room ? x + 16 : Math.max(0, x - 16 - width);
      this.tip.style.left = `${Math.min(left, Math.max(0, room - width))}px`;
      this.tip.style.top = `${Math.max(0, Math.min(y - height / 2, this.element.clientHeight - height))}px`;
    }

    key(event) {
      const stops = this.runs.flatMap((run) => this.frontOf(run)).sort((a, b) => a.x - b.x);
      const at = this.pointed ? stops.findIndex((stop) => stop.run === this.pointed.run && stop.row === this.pointed.row) : -1;
      const next = { ArrowRight: at + 1, ArrowUp: at + 1, ArrowLeft: at < 0 ? stops.length - 1 : at - 1, ArrowDown: at < 0 ? stops.length - 1 : at - 1, Home: 0, End: stops.length - 1 }[event.key];
      if (event.key === "Escape") this.point(null);
      else if (event.key === "Enter" && this.pointed) this.openOne(this.pointed);
      else if (next !== undefined && stops[next]) {
        this.point(stops[next]);
        dom.say(this.tip.innerText.replace(/\s*\n\s*/g, ", "));
      } else return;
      event.preventDefault();
    }
  }

  // The front as a staircase: what is reached with a latency holds until the next network. ECharts' own steps leave out
  // the small ones, and slant.
  function stairs(id, data, colour) {
    return {
      id, type: "custom", silent: true, z: 3, data, dimensions: ["x", "y"], encode: { x: "x", y: "y" }, clip: true,
      renderItem({ dataIndex }, item) {
        const next = data[dataIndex + 1];
        if (!next) return null;
        const [x, y] = item.coord([item.value(0), item.value(1)]), [nextX, nextY] = item.coord(next);
        return { type: "polyline", shape: { points: [[x, y], [nextX, y], [nextX, nextY]] }, style: { stroke: colour, lineWidth: 1.8, fill: "none" } };
      },
    };
  }

  // Horizontal error bars: [x, y, low, high] each.
  function whiskers(id, data, colour) {
    return {
      id, type: "custom", silent: true, z: 3, data, dimensions: ["x", "y", "low", "high"], encode: { x: ["x", "low", "high"], y: "y" }, clip: true,
      renderItem(_, item) {
        const [from, y] = item.coord([item.value(2), item.value(1)]), [to] = item.coord([item.value(3), item.value(1)]);
        const style = { stroke: colour, lineWidth: 1.2 };
        const line = (x1, y1, x2, y2) => ({ type: "line", shape: { x1, y1, x2, y2 }, style });
        return { type: "group", children: [line(from, y, to, y), line(from, y - 3, from, y + 3), line(to, y - 3, to, y + 3)] };
      },
    };
  }

  function niceStep(span) {
    const raw = span / 6, power = 10 ** Math.floor(Math.log10(raw));
    return [1, 2, 2.5, 5, 10].find((factor) => factor * power >= raw) * power;
  }

  const tidy = (value) => Number(value.toPrecision(10));

  const lineOf = ([name, value]) => el("span", { class: "tip-line" }, el("span", {}, name), el("b", { class: "number" }, value));

  function referenceWords(one) {
    const note = one.kind === "retrained" ? "retrained longer than trials, on the test split" : "predicted, like the trials";
    return [el("strong", {}, one.label), el("span", { class: "muted" }, note), ...[["accuracy", `${words.percent(one.accuracy)} %`], ["latency", `${words.ms(one.latency_ms)} ms`], ["95 % interval", words.interval(one.low_ms, one.high_ms)]].map(lineOf)];
  }

  function trialWords(run, row, isNamed) {
    const { columns } = run, number = columns.number[row];
    const marks = [run.front.includes(number) ? "front" : "", run.best === number ? "best reward" : "", columns.cached[row] ? "cached" : ""].filter(Boolean).join(", ");
    const lines = [
      ["accuracy", `${words.percent(columns.accuracy[row])} %`], ["latency", `${words.ms(columns.latency_ms[row])} ms`],
      ["95 % interval", words.interval(columns.low_ms[row], columns.high_ms[row])], ["reward", words.reward(columns.reward[row])],
      ["MAdds", words.short(columns.madds[row])], ["params", words.short(columns.params[row])], ["network", columns.architecture_id[row] || words.DASH],
    ];
    return [el("strong", {}, `${isNamed ? `${run.name}, ` : ""}trial ${number}`), marks ? el("span", { class: "muted" }, marks) : null, ...lines.map(lineOf)].filter(Boolean);
  }

  mnas.FrontPicture = FrontPicture;
})(window.mnas = window.mnas || {});
