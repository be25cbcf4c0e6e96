// Elements from values. What comes from a run is text: it goes through textContent, never through HTML.
"use strict";
(function (mnas) {
  const SVG = "http://www.w3.org/2000/svg";

  function fill(element, properties, children) {
    for (const [name, value] of Object.entries(properties || {})) {
      if (value === null || value === undefined || value === false) continue;
      if (name === "class") element.setAttribute("class", value);
      else if (name === "style") Object.assign(element.style, value);  // not an attribute: the policy forbids those
      else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else element.setAttribute(name, value === true ? "" : value);
    }
    element.append(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false));
    return element;
  }

  const el = (tag, properties, ...children) => fill(document.createElement(tag), properties, children);
  const svg = (tag, properties, ...children) => fill(document.createElementNS(SVG, tag), properties, children);
  const byId = (id) => document.getElementById(id);

  // Text is set only where it differs: what is selected or read aloud stays as it is.
  function text(target, words) {
    const element = typeof target === "string" ? byId(target) : target;
    if (element.textContent !== String(words)) element.textContent = words;
  }

  // Replaces what an element holds only where the values behind it have changed: no flicker, focus stays.
  const drawn = new WeakMap();
  function redraw(target, values, make) {
    const element = typeof target === "string" ? byId(target) : target;
    const key = JSON.stringify(values);
    if (drawn.get(element) === key) return false;
    drawn.set(element, key);
    const focus = element.contains(document.activeElement) ? focusPath(element) : null;
    element.replaceChildren(...[make()].flat(2).filter(Boolean));
    if (focus !== null) element.querySelectorAll("a, button, input, select, summary")[focus]?.focus();
    return true;
  }

  const focusPath = (element) =>
    [...element.querySelectorAll("a, button, input, select, summary")].indexOf(document.activeElement);

  // [label, value, note] as the figures on top of a view.
  function tiles(target, figures) {
    redraw(target, figures, () => figures.map(([label, value, note]) => el("li", {},
      el("span", { class: "label" }, label),
      el("b", { class: "number" }, value),
      el("span", { class: "muted note" }, note || " "))));
  }

  // [name, value] pairs of a <dl>.
  function facts(target, pairs) {
    redraw(target, pairs, () => pairs.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
  }

  // Rows of cells under heads; a head is {label, left?, title?, minor?}, a cell a text or a node.
  function table(heads, rows, caption) {
    const place = (head) => [head.left ? "left" : "", head.minor ? "minor" : ""].join(" ").trim() || null;
    return el("table", {},
      caption ? el("caption", { class: "visually-hidden" }, caption) : null,
      el("thead", {}, el("tr", {}, heads.map((head) => el("th", { scope: "col", class: place(head), title: head.title }, head.label)))),
      el("tbody", {}, rows.map((row) => el("tr", { class: row.className || null },
        (row.cells || row).map((cell, column) => el("td", { class: place(heads[column]) }, cell))))));
  }

  async function copyText(words) {
    try {
      await navigator.clipboard.writeText(words);
    } catch {  // no clipboard in files and over plain HTTP: the old way
      const area = el("textarea", { class: "visually-hidden" });
      area.value = words;
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
  }

  function copyRow(label, words) {
    const button = el("button", { type: "button", class: "copy", "aria-label": `Copy: ${label}` }, "Copy");
    button.addEventListener("click", async () => {
      await copyText(words);
      button.textContent = "Copied";
      say(`Copied: ${label}`);
      window.setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
    return el("div", { class: "copy-row" }, el("span", { class: "label" }, label),
      el("code", { tabindex: "0", role: "region", "aria-label": label }, words), button);
  }

  function say(words) { text("live", words); }

  const STATES = { COMPLETE: "complete", STOPPED: "stopped early", INFEASIBLE: "infeasible", FAILED: "failed" };
  function state(name, cached) {
    return el("span", { class: `state ${name.toLowerCase()}` }, el("i", { "aria-hidden": "true" }), `${STATES[name] || name}${cached ? ", cached" : ""}`);
  }

  Object.assign(mnas, { dom: { el, svg, byId, text, redraw, tiles, facts, table, copyRow, say, state, STATES } });
})(window.mnas = window.mnas || {});
