// What ECharts draws on a front: the fronts with their intervals, the best trials, targets, constraints and references.
"use strict";
(function (mnas) {
  const { charts, words } = mnas;
  const STAR = "path://M0,-10 L2.9,-3.6 L9.8,-3.2 L4.5,1.4 L6.2,8.1 L0,4.4 L-6.2,8.1 L-4.5,1.4 L-9.8,-3.2 L-2.9,-3.6 Z";

  // A run keeps its colour, whichever others are shown.
  const colourOf = (run, c) => c.runs[mnas.store.place(run) % c.runs.length];

  // All series of a picture; a small one has no labels.
  function frontSeries(scene, axes, c, isSmall) {
    const place = ({ x, y }) => [x, axes.onAxis("y", y)];
    const scatter = (id, marks, look) => ({ id, type: "scatter", silent: true, data: marks.map(place), ...look });
    const ofRun = (run) => {
      const front = scene.frontOf(run), colour = colourOf(run, c);
      return [
        stairs(`${run.id} line`, front.map(place), colour),
        scatter(`${run.id} front`, front, { symbol: "circle", symbolSize: isSmall ? 6 : 9, z: 4, itemStyle: { color: colour, borderColor: c.card, borderWidth: 1 } }),
        whiskers(`${run.id} bars`, front, place, colour),
        scatter(`${run.id} best`, bestOf(run), { symbol: STAR, symbolSize: isSmall ? 15 : 19, z: 6, itemStyle: { color: scene.runs.length === 1 ? c.orange : colour, borderColor: c.ink, borderWidth: 1 } }),
      ];
    };
    return [...scene.runs.flatMap(ofRun), lines(scene, axes, c, isSmall), ...references(scene.references(), place, c, isSmall)];
  }

  function bestOf(run) {
    const row = run.place.get(run.best), { latency_ms: ms, accuracy } = run.columns;
    return row === undefined || ms[row] === null ? [] : [{ x: ms[row], y: 100 * accuracy[row] }];
  }

  // Targets and the cap on latency, each value once however many runs have it.
  function lines({ runs }, axes, c, isSmall) {
    const marks = new Map();
    for (const { description } of runs) {
      if (description?.target_ms) marks.set(`target ${words.short(description.target_ms)} ms`, [description.target_ms, c.orange, "dashed"]);
      for (const one of description?.constraints || []) if (one.name === "max_latency_ms") marks.set(`at most ${words.short(one.value)} ms`, [one.value, c.red, "solid"]);
    }
    const { min, max } = axes.bounds("x"), place = (x) => (x - min) / (max - min);
    const align = (x) => (place(x) > 0.9 ? "right" : place(x) < 0.06 ? "left" : "center");  // in the picture to its end
    const data = [...marks].map(([name, [x, color, type]]) => ({ xAxis: x, name, lineStyle: { color, type, width: 1.5 }, label: { formatter: name, color: c.muted, fontSize: 12, align: align(x) } }));
    return { id: "lines", type: "line", data: [], silent: true, markLine: charts.markLine(data, { label: { position: "end", show: !isSmall || data.length < 2 } }) };
  }

  function references(all, place, c, isSmall) {
    // Hollow: retrained longer than trials are, so its accuracy is of another kind.
    const full = { color: c.red, borderColor: c.card, borderWidth: 1 }, hollow = { color: c.card, borderColor: c.red, borderWidth: 1.6 };
    const name = ({ dataIndex }) => `${all[dataIndex].label}${all[dataIndex].kind === "retrained" ? " (retrained)" : ""}`;
    const label = { show: !isSmall, position: "right", distance: 6, color: c.ink, fontSize: 12, formatter: name, textBorderColor: c.card, textBorderWidth: 3 };
    const data = all.map((one) => ({ value: place(one), itemStyle: one.kind === "retrained" ? hollow : full }));
    return [
      { id: "references", type: "scatter", silent: true, symbol: "diamond", symbolSize: 11, z: 3, label, labelLayout: { hideOverlap: true, moveOverlap: "shiftY" }, data },
      whiskers("reference bars", all, place, c.red),
    ];
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

  // Horizontal error bars.
  function whiskers(id, marks, place, colour) {
    return {
      id, type: "custom", silent: true, z: 3, data: marks.map((mark) => [...place(mark), mark.low, mark.high]), dimensions: ["x", "y", "low", "high"], encode: { x: ["x", "low", "high"], y: "y" }, clip: true,
      renderItem(_, item) {
        const [from, y] = item.coord([item.value(2), item.value(1)]), [to] = item.coord([item.value(3), item.value(1)]);
        const style = { stroke: colour, lineWidth: 1.2 };
        const line = (x1, y1, x2, y2) => ({ type: "line", shape: { x1, y1, x2, y2 }, style });
        return { type: "group", children: [line(from, y, to, y), line(from, y - 3, from, y + 3), line(to, y - 3, to, y + 3)] };
      },
    };
  }

  Object.assign(mnas, { frontSeries, frontColour: colourOf });
})(window.mnas = window.mnas || {});
