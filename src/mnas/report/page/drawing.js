// An architecture drawn block by block, and what differs between two of them.
// A box is as high as the square root of its resolution and as wide as its layers times the square root of their filters.
"use strict";
(function (mnas) {
  const { dom, words } = mnas;
  const HEIGHT = 150, TOP = 30, BOTTOM = 70, GAP = 8, LEAST_WIDTH = 30, LEAST_HEIGHT = 12;

  // The keys of a row that may differ, and how they are called.
  const CELLS = [
    { key: "op", label: "op", left: true, write: (row) => opName(row) },
    { key: "kernel", label: "kernel", write: (row) => (row.kernel ? words.count(row.kernel) : words.DASH) },
    { key: "expand_ratio", label: "expansion", write: (row) => (row.op === "mbconv" ? words.short(row.expand_ratio) : words.DASH) },
    { key: "se_ratio", label: "SE", write: (row) => (row.se_ratio ? words.short(row.se_ratio) : words.DASH) },
    { key: "filters", label: "filters", write: (row) => words.count(row.filters) },
    { key: "layers", label: "layers", write: (row) => words.count(row.layers) },
    { key: "stride", label: "stride", minor: true, write: (row) => words.count(row.stride) },
    { key: "skip", label: "skip", left: true, minor: true, write: (row) => row.skip || words.DASH },
    { key: "resolution", label: "resolution", title: "Of what it gives out", write: (row) => words.count(row.resolution) },
  ];
  const OPS = { stem: "stem", head: "head", conv: "conv", sepconv: "SepConv", sepconv_act: "SepConv", mbconv: "MBConv" };

  function kind(row) {
    if (row.label === "stem" || row.label === "head") return row.label;
    return row.op === "mbconv" ? (row.expand_ratio >= 5 ? "mbconv6" : "mbconv") : row.op;
  }

  const opName = (row) => OPS[row.label] || OPS[row.op] || row.op || words.DASH;

  function sizes(rows, room) {
    const highest = Math.max(...rows.map((row) => Math.sqrt(row.resolution)));
    const units = rows.map((row) => (row.layers || 1) * Math.sqrt(row.filters || 1));
    const gaps = GAP * (rows.length - 1), free = room - gaps - LEAST_WIDTH * rows.length;
    const total = units.reduce((sum, unit) => sum + unit, 0);
    const scale = Math.max(0, free) / total;
    return rows.map((row, index) => ({
      width: LEAST_WIDTH + units[index] * scale,
      height: Math.max(LEAST_HEIGHT, (HEIGHT * Math.sqrt(row.resolution)) / highest),
    }));
  }

  // An SVG of the rows of a network, for `room` pixels; `changed` holds labels that differ from another network.
  function draw(rows, room, { changed = new Set(), label = "" } = {}) {
    const found = sizes(rows, room);
    const width = found.reduce((sum, one) => sum + one.width, 0) + GAP * (rows.length - 1);
    const height = TOP + HEIGHT + BOTTOM;
    let x = 0;
    const groups = rows.map((row, index) => {
      const group = box(row, x, found[index], changed.has(row.label));
      x += found[index].width + GAP;
      return group;
    });
    return dom.svg("svg", { class: "architecture", viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": label || `Architecture of ${rows.length} rows; the table below says the same` }, groups);
  }

  function box(row, x, { width, height }, isChanged) {
    const y = TOP + (HEIGHT - height) / 2, layers = row.layers || 1, middle = x + width / 2;
    const slab = (width - 2 * (layers - 1)) / layers;
    const slabs = Array.from({ length: layers }, (_, layer) => dom.svg("rect", { class: `slab ${kind(row)}`, x: x + layer * (slab + 2), y, width: Math.max(1, slab), height, rx: 3 }));
    const below = [row.label, row.kernel ? `k${row.kernel}` : "", row.op === "mbconv" ? `e${words.short(row.expand_ratio)}` : "", row.se_ratio ? "SE" : ""];
    return dom.svg("g", { class: isChanged ? "row changed" : "row" },
      dom.svg("title", {}, title(row)),
      isChanged ? dom.svg("rect", { class: "changed-frame", x: x - 3, y: 2, width: width + 6, height: TOP + HEIGHT + BOTTOM - 4, rx: 6 }) : null,
      skipArc(row, x, width, y), slabs,
      row.se_ratio ? dom.svg("rect", { class: "se", x, y: y + height + 3, width, height: 4, rx: 2 }) : null,
      dom.svg("text", { class: "above", x: middle, y: y - (hasArc(row) ? 15 : 6) }, row.resolution),
      below.filter(Boolean).map((word, line) => dom.svg("text", { class: line ? "below" : "below name", x: middle, y: TOP + HEIGHT + 20 + 13 * line }, word)));
  }

  const hasArc = (row) => row.skip === "identity" || row.skip === "pool";

  function skipArc(row, x, width, y) {
    if (!hasArc(row)) return null;
    const from = x + width * 0.2, to = x + width * 0.8, top = y - 11;
    return dom.svg("path", { class: row.skip === "pool" ? "skip pool" : "skip", d: `M${from} ${y} Q${from} ${top} ${(from + to) / 2} ${top} T${to} ${y}` });
  }

  function title(row) {
    const cells = CELLS.map((cell) => `${cell.label} ${cell.write(row)}`).join(", ");
    return `${row.label}: ${cells}; ${words.short(row.madds)} MAdds, ${words.short(row.params)} params${words.known(row.ms) ? `, ${words.ms(row.ms)} ms` : ""}`;
  }

  // Which labels differ between two networks' rows.
  function changes(rows, others) {
    const byLabel = new Map(others.map((row) => [row.label, row]));
    const labels = new Set();
    for (const row of rows) {
      const other = byLabel.get(row.label);
      if (!other || differing(row, other).length) labels.add(row.label);
    }
    for (const other of others) if (!rows.some((row) => row.label === other.label)) labels.add(other.label);
    return labels;
  }

  const differing = (row, other) => CELLS.filter((cell) => cell.write(row) !== cell.write(other));

  // The rows as a table with bars; where another network's rows are given, what differs shows both values.
  function table(rows, others) {
    const byLabel = new Map((others || []).map((row) => [row.label, row]));
    const amounts = [["madds", "MAdds", words.short], ["params", "params", words.short]];
    if (rows.some((row) => words.known(row.ms))) amounts.push(["ms", "ms", words.ms]);
    const most = Object.fromEntries(amounts.map(([key]) => [key, Math.max(...rows.map((row) => row[key] || 0), 1e-12)]));
    const heads = [{ label: "block", left: true }, ...CELLS, ...amounts.map(([, label]) => ({ label, left: true }))];
    const missing = (others || []).filter((row) => !rows.some((one) => one.label === row.label));
    return dom.table(heads, [
      ...rows.map((row) => [row.label, ...CELLS.map((cell) => cellOf(cell, row, others && (byLabel.get(row.label) ?? null))), ...amounts.map(([key, , write]) => bar(row[key], most[key], write))]),
      ...missing.map((row) => ({ className: "missing", cells: [row.label, ...CELLS.map((cell) => dom.el("span", { class: "changed" }, dom.el("s", {}, cell.write(row)))), ...amounts.map(() => words.DASH)] })),
    ]);
  }

  function cellOf(cell, row, other) {
    const now = cell.write(row);
    if (other === undefined || other === false || (other && cell.write(other) === now)) return now;
    return dom.el("span", { class: "changed" }, now, " ", dom.el("s", {}, other ? cell.write(other) : words.DASH));
  }

  function bar(value, most, write) {
    const share = words.known(value) ? Math.max(0.5, (100 * value) / most) : 0;
    return dom.el("span", { class: "amount" }, dom.el("span", { class: "track", "aria-hidden": "true" }, dom.el("i", { style: { width: `${share}%` } })), dom.el("span", { class: "number" }, write(value)));
  }

  function ops(rows) {
    const kinds = [...new Set(rows.map(kind))];
    const names = { stem: "stem", head: "head", conv: "conv", sepconv: "SepConv", sepconv_act: "SepConv with an activation behind", mbconv: "MBConv, expansion below 5", mbconv6: "MBConv, expansion from 5" };
    const extra = [rows.some((row) => row.se_ratio) ? ["se", "SE"] : null].filter(Boolean);
    return [...kinds.map((one) => [one, names[one] || one]), ...extra].map(([one, name]) => dom.el("span", { class: "op" }, dom.el("i", { class: `slab ${one}`, "aria-hidden": "true" }), name));
  }

  mnas.drawing = { draw, table, changes, ops };
})(window.mnas = window.mnas || {});
