// Front: accuracy over latency of one run or several, what was selected in it, and the front as a table.
"use strict";
(function (mnas) {
  const { charts, dom, words, store } = mnas;
  const { el } = dom;
  const NAMES = { complete: "complete", stopped: "stopped early", infeasible: "infeasible", failed: "failed", cached: "cached" };
  let picture = null, list = null, listed = null;

  function show() {
    if (!picture) make();
    const runs = store.overlaid().length ? store.overlaid() : [store.current].filter(Boolean);
    picture.draw(runs);
    runLegend();
    stateLegend();
    frontTable(picture.scene.runs);
    outside();
    selection();
  }

  function outside() {
    const count = picture.outside(), isWhole = picture.axes.isWhole;
    dom.redraw("front-outside", [count, isWhole, Boolean(picture.axes.zoom)], () => {
      if (!count && !isWhole) return [];
      const button = el("button", { type: "button" }, isWhole ? "Leave out what lies far off" : "Show all");
      button.addEventListener("click", () => { picture.axes.isWhole = !isWhole; zoom(null); });
      return [isWhole ? "" : `${words.plural(count, "trial")} ${count === 1 ? "lies" : "lie"} outside this picture. `, button];
    });
  }

  function make() {
    picture = new mnas.FrontPicture("chart-front");
    picture.onselect = selection;
    for (const button of document.querySelectorAll("[data-axis]")) button.addEventListener("click", () => rescale(button.dataset));
    markScales();
    list = new mnas.VirtualTable(dom.byId("front-selected"), {
      label: "Selected trials", height: "21rem", empty: "Nothing is selected: drag a rectangle in the picture, or give numbers above.",
      sort: { key: "accuracy", down: true }, open: ({ run, row }) => { window.location.hash = `#/network/${run.id}/${run.columns.number[row]}`; }, columns: columns(),
    });
    dom.byId("front-clear").addEventListener("click", () => { picture.select(null); dom.byId("front-range").reset(); });
    dom.byId("front-zoom").addEventListener("click", () => zoom({ ...picture.selection }));
    dom.byId("front-unzoom").addEventListener("click", () => zoom(null));
    dom.byId("front-drag").addEventListener("click", (event) => drag(event.currentTarget));
    dom.byId("front-range").addEventListener("submit", range);
  }

  function columns() {
    const of = (name) => ({ run, row }) => run.columns[name][row];
    return [
      { key: "number", label: "trial", left: true, value: of("number"), cell: ({ run, row }) => [picture.scene.runs.length > 1 ? runName(run) : null, " ", el("a", { href: `#/network/${run.id}/${run.columns.number[row]}`, tabindex: "-1" }, run.columns.number[row])] },
      { key: "accuracy", label: "accuracy %", value: of("accuracy"), cell: ({ run, row }) => words.percent(run.columns.accuracy[row]) },
      { key: "latency_ms", label: "latency ms", value: of("latency_ms"), cell: ({ run, row }) => words.ms(run.columns.latency_ms[row]) },
      { key: "interval", label: "95 % interval", minor: true, value: of("low_ms"), cell: ({ run, row }) => words.interval(run.columns.low_ms[row], run.columns.high_ms[row]) },
      { key: "reward", label: "reward", value: of("reward"), cell: ({ run, row }) => words.reward(run.columns.reward[row]) },
      { key: "madds", label: "MAdds", minor: true, value: of("madds"), cell: ({ run, row }) => words.short(run.columns.madds[row]) },
      { key: "params", label: "params", minor: true, value: of("params"), cell: ({ run, row }) => words.short(run.columns.params[row]) },
    ];
  }

  function rescale({ axis, scale }) {
    picture.axes.scale[axis] = scale;
    markScales();
    show();
  }

  function markScales() {
    for (const button of document.querySelectorAll("[data-axis]")) button.setAttribute("aria-pressed", String(picture.axes.scale[button.dataset.axis] === button.dataset.scale));
  }

  function zoom(rectangle) {
    picture.axes.zoom = rectangle;
    dom.byId("front-unzoom").disabled = !rectangle;
    if (rectangle) picture.selection = null;
    show();
  }

  // Fingers scroll the page unless the person says that they draw.
  function drag(button) {
    picture.isDragging = !picture.isDragging;
    button.setAttribute("aria-pressed", String(picture.isDragging));
    picture.element.classList.toggle("dragging", picture.isDragging);
  }

  function range(event) {
    event.preventDefault();
    const form = event.currentTarget, number = (name, other) => (form.elements[name].value === "" ? other : Number(form.elements[name].value));
    const { x0, x1, y0, y1 } = picture.axes.whole();
    picture.select({ x0: number("x0", x0), x1: number("x1", x1), y0: number("y0", y0), y1: number("y1", y1) });
  }

  function selection() {
    const { selection: chosen } = picture;
    for (const id of ["front-zoom", "front-clear"]) dom.byId(id).disabled = !chosen;
    const key = JSON.stringify([chosen, [...picture.scene.shown], picture.scene.runs.map((run) => [run.id, run.version])]);
    if (key === listed) return;
    listed = key;
    const found = picture.selected();
    list.show(found);
    list.box.hidden = !found.length;
    list.nothing.textContent = chosen ? "No trial lies in the selection." : list.empty;
    dom.text("front-selection-title", chosen ? `Selection: ${words.plural(found.length, "trial")}` : "Selection");
  }

  function runLegend() {
    const c = charts.colours(), runs = [...store.runs.values()];
    const host = dom.byId("front-runs");
    host.hidden = runs.length < 2;
    const shown = store.overlaid();
    dom.redraw(host, [mnas.theme.current, runs.map((run) => [run.id, run.name, run.summary.state, store.hidden.has(run.id)])], () => runs.map((run) => {
      const isShown = !store.hidden.has(run.id), colour = mnas.frontColour(run, c);
      const button = el("button", { type: "button", "aria-pressed": String(isShown), "data-run": run.id }, el("i", { "aria-hidden": "true", style: { background: isShown ? colour : "transparent" } }), run.name);
      button.addEventListener("click", () => store.setHidden(run.id, isShown && shown.length > 1));
      return button;
    }));
  }

  function stateLegend() {
    const counts = Object.fromEntries(mnas.points.GROUPS.map((group) => [group, picture.scene.runs.reduce((sum, run) => sum + mnas.points.of(run)[group].length, 0)]));
    dom.redraw("front-states", [counts, [...picture.scene.shown], picture.scene.runs.length], () => Object.entries(NAMES).filter(([group]) => counts[group]).map(([group, name]) => {
      const button = el("button", { type: "button", "aria-pressed": String(picture.scene.shown.has(group)), "data-group": group }, el("i", { class: `mark ${group}`, "aria-hidden": "true" }), `${name} `, el("span", { class: "muted number" }, words.count(counts[group])));
      button.addEventListener("click", () => {
        if (picture.scene.shown.has(group)) picture.scene.shown.delete(group);
        else picture.scene.shown.add(group);
        show();
      });
      return button;
    }));
  }

  function frontTable(runs) {
    const references = picture.scene.references(), colours = runs.length > 1 ? runName : null;
    const key = [mnas.theme.current, runs.map((run) => [run.id, run.generation, run.version]), references.map((one) => [one.label, one.latency_ms])];
    dom.redraw("front-table", key, () => mnas.frontTable(runs, references, colours));
  }

  const runName = (run) => [el("i", { class: "run-dot", "aria-hidden": "true", style: { background: mnas.frontColour(run, charts.colours()) } }), el("span", { class: "minor" }, run.name)];

  mnas.views = { ...mnas.views, front: { show, get picture() { return picture; } } };
})(window.mnas = window.mnas || {});
