// A table of any number of rows of which only those in sight are made: ten thousand trials scroll like ten.
"use strict";
(function (mnas) {
  const { dom } = mnas;
  const ROW = 34, SPARE = 8;

  // Classes of a column's cells: where its text stands, and whether it leaves on narrow screens.
  const place = (column) => [column.left ? "left" : "", column.minor ? "minor" : "", column.wideOnly ? "wide-only" : "", column.kind || ""].join(" ").trim() || null;

  // Columns are {key, label, left?, minor?, wideOnly?, kind?, width, value(row), cell(row)}; a row is anything the columns understand.
  class VirtualTable {
    constructor(host, { columns, label, open, sort, height, empty }) {
      Object.assign(this, { columns, open, sort, empty, rows: [], order: [], made: new Map(), active: 0, generation: 0 });
      this.build(host, label, height);
    }

    build(host, label, height) {
      this.before = dom.el("tr", { "aria-hidden": "true", class: "spacer" }, dom.el("td", {}));
      this.after = dom.el("tr", { "aria-hidden": "true", class: "spacer" }, dom.el("td", {}));
      this.body = dom.el("tbody", {});
      this.heads = this.columns.map((column) => this.head(column));
      this.table = dom.el("table", { class: "virtual", "aria-label": label },
        dom.el("colgroup", {}, this.columns.map((column) => dom.el("col", { class: place(column), style: column.width ? { width: column.width } : null }))),
        dom.el("thead", {}, dom.el("tr", {}, this.heads)), this.body);
      this.box = dom.el("div", { class: "virtual-box", tabindex: "-1", role: "region", "aria-label": label, style: { height } }, this.table);
      this.nothing = dom.el("p", { class: "muted nothing", hidden: true }, this.empty);
      host.replaceChildren(this.box, this.nothing);
      this.box.addEventListener("scroll", () => this.paint(), { passive: true });
      this.body.addEventListener("click", (event) => this.clicked(event));
      this.body.addEventListener("keydown", (event) => this.pressed(event));
      new ResizeObserver(() => this.paint()).observe(this.box);
      this.markSorted();
    }

    head(column) {
      const button = dom.el("button", { type: "button", "data-key": column.key, title: column.title }, column.label, dom.el("span", { class: "arrow", "aria-hidden": "true" }));
      button.addEventListener("click", () => this.sortBy(column.key));
      return dom.el("th", { scope: "col", class: place(column) }, button);
    }

    sortBy(key) {
      const { key: now, down } = this.sort;
      const isNumber = !this.columns.find((column) => column.key === key).left;
      this.sort = { key, down: key === now ? !down : isNumber };
      this.markSorted();
      this.box.scrollTop = 0;
      this.active = 0;
      this.show(this.rows);
    }

    markSorted() {
      this.columns.forEach((column, index) => {
        const isSorted = column.key === this.sort.key;
        if (isSorted) this.heads[index].setAttribute("aria-sort", this.sort.down ? "descending" : "ascending");
        else this.heads[index].removeAttribute("aria-sort");
      });
    }

    // Show these rows; where the person has scrolled down, what is in sight stays in its place.
    show(rows, { keepPlace = false } = {}) {
      const grown = rows.length - this.rows.length;
      this.rows = rows;
      this.order = this.sorted();
      this.made.clear();
      this.table.setAttribute("aria-rowcount", String(rows.length + 1));
      this.nothing.hidden = rows.length > 0;
      if (keepPlace && grown > 0 && this.box.scrollTop > 0) {
        this.stretch();
        this.box.scrollTop += grown * ROW;
      }
      this.active = Math.min(this.active, Math.max(0, rows.length - 1));
      this.paint(true);
    }

    sorted() {
      const column = this.columns.find((one) => one.key === this.sort.key);
      const sign = this.sort.down ? -1 : 1;
      const keyed = this.rows.map((row, index) => ({ row, index, key: column.value(row) }));
      const isMissing = (key) => key === null || key === undefined || key === "";
      keyed.sort((a, b) => {
        if (isMissing(a.key) || isMissing(b.key)) return Number(isMissing(a.key)) - Number(isMissing(b.key)) || a.index - b.index;
        if (a.key < b.key) return -sign;
        return a.key > b.key ? sign : a.index - b.index;
      });
      return keyed.map(({ row }) => row);
    }

    stretch() {
      this.body.replaceChildren(this.before, this.after);
      this.before.firstChild.style.height = "0px";
      this.after.firstChild.style.height = `${this.order.length * ROW}px`;
    }

    paint(isNew = false) {
      const height = this.box.clientHeight;
      if (!height) return;
      const first = Math.max(0, Math.floor(this.box.scrollTop / ROW) - SPARE);
      const last = Math.min(this.order.length, Math.ceil((this.box.scrollTop + height) / ROW) + SPARE);
      if (!isNew && this.first === first && this.last === last) return;
      const hadFocus = this.body.contains(document.activeElement);
      const rows = [];
      for (let index = first; index < last; index += 1) rows.push(this.row(index));
      for (const index of this.made.keys()) if (index < first || index >= last) this.made.delete(index);
      Object.assign(this, { first, last });
      this.before.firstChild.style.height = `${first * ROW}px`;
      this.after.firstChild.style.height = `${(this.order.length - last) * ROW}px`;
      this.body.replaceChildren(this.before, ...rows, this.after);
      this.roam();
      if (hadFocus) this.made.get(this.active)?.focus({ preventScroll: true });
    }

    row(index) {
      const known = this.made.get(index);
      if (known) return known;
      const row = this.order[index];
      const made = dom.el("tr", { "aria-rowindex": index + 2, "data-index": index },
        this.columns.map((column) => dom.el("td", { class: place(column), title: column.hover?.(row) }, column.cell(row))));
      this.made.set(index, made);
      return made;
    }

    // One row alone is in the order of tabs; arrows move to the others.
    roam() {
      const inSight = this.made.has(this.active) ? this.active : this.first;
      for (const [index, row] of this.made) row.tabIndex = index === inSight ? 0 : -1;
    }

    clicked(event) {
      const row = event.target.closest("tr[data-index]");
      if (row && !window.getSelection()?.toString()) this.open(this.order[Number(row.dataset.index)]);
    }

    pressed(event) {
      const page = Math.max(1, Math.floor(this.box.clientHeight / ROW) - 2);
      const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
      const at = Number(event.target.closest("tr[data-index]")?.dataset.index);
      if (Number.isNaN(at)) return;
      if (event.key === "Enter") this.open(this.order[at]);
      else if (event.key in steps) this.go(Math.min(this.order.length - 1, Math.max(0, at + steps[event.key])));
      else return;
      event.preventDefault();
    }

    go(index) {
      this.active = index;
      const head = this.heads[0].offsetHeight, top = index * ROW, room = this.box.clientHeight - head;
      if (top < this.box.scrollTop) this.box.scrollTop = top;
      else if (top + ROW > this.box.scrollTop + room) this.box.scrollTop = top + ROW - room;
      this.paint(true);
      this.made.get(index)?.focus({ preventScroll: true });
    }
  }

  mnas.VirtualTable = VirtualTable;
})(window.mnas = window.mnas || {});
