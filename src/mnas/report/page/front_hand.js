// Pointing at networks in a front, opening them, and drawing rectangles: by mouse, finger and keyboard.
"use strict";
(function (mnas) {
  const { charts, dom } = mnas;
  const NEAR = 14;  // pixels
  const BONUS = 36;  // square pixels by which a network of the front or a reference seems nearer than other trials

  class FrontHand {
    // `picture` is a FrontPicture that is drawn; in a small one a click opens the large one.
    constructor(picture) {
      const { element, isSmall } = picture, zr = picture.picture.chart.getZr(), { graphic } = window.echarts;
      this.tip = dom.el("div", { class: "tip", hidden: true });
      this.ring = new graphic.Circle({ shape: { r: 8 }, style: { fill: "none", lineWidth: 2 }, zlevel: 1, silent: true, ignore: true });
      this.shade = new graphic.Rect({ zlevel: 1, silent: true, ignore: true });
      Object.assign(this, { picture, element, pointed: null, drag: null });
      element.append(this.tip);
      zr.add(this.ring);
      zr.add(this.shade);
      for (const kind of ["pointermove", "pointerdown"]) element.addEventListener(kind, (event) => { this.isTouch = event.pointerType === "touch"; });
      zr.on("mousemove", ({ offsetX, offsetY }) => this.moved([offsetX, offsetY]));
      zr.on("mousedown", ({ offsetX, offsetY }) => this.pressed([offsetX, offsetY]));
      zr.on("mouseup", ({ offsetX, offsetY }) => this.released([offsetX, offsetY]));
      zr.on("globalout", () => { if (!this.drag) this.point(null); });
      if (isSmall) return;
      window.addEventListener("pointerup", () => this.finish());
      element.addEventListener("keydown", (event) => this.key(event));
      element.addEventListener("blur", () => this.point(null));
    }

    // -- pointing -----------------------------------------------------------------------------------------------

    // The trial or reference nearest to a pixel, if one is near.
    nearest([px, py]) {
      const { map, scene } = this.picture;
      let found = null, least = NEAR * NEAR;
      if (!map) return found;
      for (const mark of scene.marks()) {
        const far = (map.x(mark.x) - px) ** 2 + (map.y(mark.y) - py) ** 2 - BONUS;
        if (far < least) { least = far; found = mark; }
      }
      scene.each((x, y, run, row) => {
        const dx = map.x(x) - px;
        if (dx > NEAR || dx < -NEAR) return;
        const far = dx * dx + (map.y(y) - py) ** 2;
        if (far < least) { least = far; found = { run, row, x, y }; }
      });
      return found;
    }

    // Ring and words at one network, or nothing.
    point(mark) {
      this.pointed = mark;
      this.element.classList.toggle("pointing", Boolean(mark));
      this.tip.hidden = !mark;
      if (!mark) { this.ring.attr({ ignore: true }); return; }
      const { map, scene } = this.picture, x = map.x(mark.x), y = map.y(mark.y);
      this.ring.attr({ ignore: false, shape: { cx: x, cy: y, r: 8 }, style: { stroke: charts.colours().ink } });
      this.tip.replaceChildren(...mnas.frontTip(mark, scene.runs.length > 1));
      this.placeTip(x, y);
    }

    placeTip(x, y) {
      const { offsetWidth: width, offsetHeight: height } = this.tip, { clientWidth: room, clientHeight: high } = this.element;
      const left = x + 16 + width <= room ? x + 16 : Math.max(0, x - 16 - width);
      this.tip.style.left = `${Math.min(left, Math.max(0, room - width))}px`;
      this.tip.style.top = `${Math.max(0, Math.min(y - height / 2, high - height))}px`;
    }

    open({ run, row, index }) {
      const network = row === undefined ? `ref/${index}` : run.columns.number[row];
      window.location.hash = this.picture.isSmall ? "#/front" : `#/network/${run.id}/${network}`;
    }

    key(event) {
      const stops = this.picture.scene.runs.flatMap((run) => this.picture.scene.frontOf(run)).sort((a, b) => a.x - b.x);
      const at = this.pointed ? stops.findIndex((stop) => isSame(stop, this.pointed)) : -1, before = at < 0 ? stops.length - 1 : at - 1;
      const next = { ArrowRight: at + 1, ArrowUp: at + 1, ArrowLeft: before, ArrowDown: before, Home: 0, End: stops.length - 1 }[event.key];
      if (event.key === "Escape") this.point(null);
      else if (event.key === "Enter" && this.pointed) this.open(this.pointed);
      else if (next !== undefined && stops[next]) {
        this.point(stops[next]);
        dom.say(this.tip.innerText.replace(/\s*\n\s*/g, ", "));
      } else return;
      event.preventDefault();
    }

    // -- dragging -----------------------------------------------------------------------------------------------

    moved(pixel) {
      if (!this.drag) { this.point(this.nearest(pixel)); return; }
      this.drag.to = pixel;
      if (this.isDragged()) { this.point(null); this.paint(this.drag.from, this.drag.to); }
    }

    isDragged() { return [0, 1].some((axis) => Math.abs(this.drag.to[axis] - this.drag.from[axis]) > 4); }

    // Fingers scroll the page unless the person says that they draw (`isDragging`).
    pressed(pixel) {
      const { isSmall, map, isDragging } = this.picture;
      if (isSmall || !map || (this.isTouch && !isDragging)) return;
      this.wasDragged = false;
      this.drag = { from: pixel, to: pixel };
    }

    released(pixel) {
      this.finish();
      if (this.wasDragged) return;  // the end of a selection is no click, whatever lies beneath it
      const found = this.nearest(pixel);
      if (this.isTouch && !(found && this.pointed && isSame(found, this.pointed))) this.point(found);  // a finger does not hover: the first touch names it, the second opens it
      else if (found) this.open(found);
    }

    finish() {
      if (!this.drag) return;
      this.wasDragged = this.isDragged();
      if (this.wasDragged) {
        const [[ax, ay], [bx, by]] = [this.drag.from, this.drag.to].map((pixel) => this.picture.map.toData(this.inside(pixel)));
        this.picture.select({ x0: Math.min(ax, bx), x1: Math.max(ax, bx), y0: Math.min(ay, by), y1: Math.max(ay, by) });
      }
      this.drag = null;
    }

    inside([px, py]) {
      const { left, top, right, bottom } = this.picture.map;
      return [Math.min(right, Math.max(left, px)), Math.min(bottom, Math.max(top, py))];
    }

    paintSelection() {
      const { selection, map } = this.picture;
      if (selection && map) this.paint([map.x(selection.x0), map.y(selection.y0)], [map.x(selection.x1), map.y(selection.y1)]);
      else this.shade.attr({ ignore: true });
    }

    // A rectangle between two pixels.
    paint(...corners) {
      const { blue } = charts.colours(), [[ax, ay], [bx, by]] = corners.map((corner) => this.inside(corner));
      this.shade.attr({ ignore: false, shape: { x: Math.min(ax, bx), y: Math.min(ay, by), width: Math.abs(bx - ax), height: Math.abs(by - ay) }, style: { fill: blue, fillOpacity: 0.12, stroke: blue, lineWidth: 1.2 } });
    }
  }

  const isSame = (a, b) => a.run === b.run && a.row === b.row && a.index === b.index;

  mnas.FrontHand = FrontHand;
})(window.mnas = window.mnas || {});
