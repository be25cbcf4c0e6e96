// A table of any number of rows of which only those in sight are made: ten thousand trials scroll like ten.
"use strict";
(function (mnas) {
  const { dom } = mnas;
  const ROW = 34, SPARE = 8;

  // Classes of a column's cells: where its text stands, and whether it leaves on narrow screens.
  const placeOf = (column) => [column.left ? "left" : "", column.minor ? "minor" : "", column.wideOnly ? "wide-only" : "", column.kind || ""].join(" ").trim() || null;

  // Columns are {key, label, left?, minor?, wideOnly?, kind?, width, value(row), cell(row)}; a row is anything the columns
  // understand. A row is opened with `open(row)`; or, with `details`, {label(row), make(row)}, it unfolds to what that makes.
  class VirtualTable {
    constructor(host, { columns, label, open, details, sort, height, empty }) {
      Object.assign(this, { columns, open, details, sort, empty, unfolded: null, rows: [], order: [], made: new Map(), active: 0 });
      this.build(host, label, height);
    }

    build(host, label, height) {
      this.before = dom.el("tr", { "aria-hidden": "true", class: "spacer" }, dom.el("td", {}));
      this.after = dom.el("tr", { "aria-hidden": "true", class: "spacer" }, dom.el("td", {}));
      this.body = dom.el("tbody", {});
      this.heads = this.columns.map((column) => this.head(column));
      this.table = dom.el("table", { class: "virtual", "aria-label": label },
        dom.el("colgroup", {}, this.columns.map((column) => dom.el("col", { class: placeOf(column), style: column.width ? { width: column.width } : null }))),
        dom.el("thead", {}, dom.el("tr", {}, this.heads)), this.body);
      this.box = dom.el("div", { class: "virtual-box", tabindex: "-1", role: "region", "aria-label": label, style: { height } }, this.table);
      this.nothing = dom.el("p", { class: "muted nothing", hidden: true }, this.empty);
      host.replaceChildren(this.box, this.nothing);
      this.box.addEventListener("scroll", () => this.paint(), { passive: true });
      this.body.addEventListener("click", (event) => this.clicked(event));
      this.body.addEventListener("keydown", (event) => this.pressed(event));
      new ResizeObserver(() => this.paint(this.unfolded !== null)).observe(this.box);
      this.resized = new ResizeObserver(() => this.paint(true));  // of what is unfolded
      this.markSorted();
    }

    head(column) {
      const button = dom.el("button", { type: "button", "data-key": column.key, title: column.title }, column.label, dom.el("span", { class: "arrow", "aria-hidden": "true" }));
      button.addEventListener("click", () => this.sortBy(column.key));
      return dom.el("th", { scope: "col", class: placeOf(column) }, button);
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
      const grown = rows.length - this.rows.length, active = this.order[this.active];
      this.rows = rows;
      this.order = this.sorted();
      this.made.clear();
      this.table.setAttribute("aria-rowcount", String(rows.length + 1));
      this.nothing.hidden = rows.length > 0;
      if (this.unfolded) this.unfolded.index = this.order.indexOf(this.unfolded.row);
      if (keepPlace && grown > 0 && (this.box.scrollTop > 0 || this.unfolded)) {
        this.after.firstChild.style.height = `${this.top(this.order.length)}px`;  // room to scroll to
        this.box.scrollTop += grown * ROW;
      }
      this.active = keepPlace ? Math.max(0, this.order.indexOf(active)) : Math.min(this.active, Math.max(0, rows.length - 1));
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

    // Where a row begins, in pixels from the first one, and which one stands at a pixel.
    top(index) { return index * ROW + (this.unfolded && this.unfolded.index >= 0 && this.unfolded.index < index ? this.unfolded.height : 0); }

    at(y) {
      if (!this.unfolded || this.unfolded.index < 0 || y < ROW * (this.unfolded.index + 1)) return Math.floor(y / ROW);
      return Math.max(this.unfolded.index, Math.floor((y - this.unfolded.height) / ROW));
    }

    paint(isNew = false) {
      const height = this.box.clientHeight;
      if (!height) return;
      const first = Math.max(0, this.at(this.box.scrollTop) - SPARE);
      const last = Math.min(this.order.length, this.at(this.box.scrollTop + height) + 1 + SPARE);
      if (!isNew && this.first === first && this.last === last) return;
      const focused = this.body.contains(document.activeElement) ? document.activeElement : null;
      const rows = [];
      for (let index = first; index < last; index += 1) rows.push(this.row(index), index === this.unfolded?.index ? this.unfolded.element : "");
      for (const index of this.made.keys()) if (index < first || index >= last) this.made.delete(index);
      Object.assign(this, { first, last });
      this.before.firstChild.style.height = `${this.top(first)}px`;
      this.after.firstChild.style.height = `${this.top(this.order.length) - this.top(last)}px`;
      this.body.replaceChildren(this.before, ...rows.filter(Boolean), this.after);
      this.fit();
      this.roam();
      if (focused) (focused.isConnected ? focused : this.handle(this.active))?.focus({ preventScroll: true });
    }

    // What is unfolded is as wide as the columns that are shown, and as high as it needs.
    fit() {
      if (!this.unfolded?.element.isConnected) return;
      this.unfolded.element.firstChild.colSpan = this.heads.filter((head) => head.offsetWidth).length;
      this.unfolded.height = this.unfolded.element.offsetHeight;
    }

    row(index) {
      const known = this.made.get(index);
      if (known) return known;
      const row = this.order[index];
      const made = dom.el("tr", { "aria-rowindex": index + 2, "data-index": index },
        this.columns.map((column, place) => dom.el("td", { class: placeOf(column), title: column.hover?.(row) }, place === 0 && this.details ? this.unfolder(row) : null, column.cell(row))));
      this.made.set(index, made);
      return made;
    }

    unfolder(row) { return dom.el("button", { type: "button", class: "unfold", "aria-label": this.details.label(row) }); }

    // What has the focus in a row: the button that unfolds it, or the row itself.
    handle(index) { return this.details ? this.made.get(index)?.querySelector(".unfold") : this.made.get(index); }

    // One row alone is in the order of tabs; arrows move to the others.
    roam() {
      const inSight = this.made.has(this.active) ? this.active : this.first;
      for (const index of this.made.keys()) {
        this.handle(index).tabIndex = index === inSight ? 0 : -1;
        if (this.details) this.handle(index).setAttribute("aria-expanded", String(index === this.unfolded?.index));
      }
    }

    // One row is unfolded at a time.
    toggle(index) {
      const isOpen = this.unfolded?.index === index;
      this.fold();
      this.active = index;
      if (!isOpen) {
        const row = this.order[index], body = dom.el("div", { class: "unfolded" }, this.details.make(row));
        this.unfolded = { row, index, height: 0, element: dom.el("tr", {}, dom.el("td", {}, body)) };
        this.resized.observe(body);
      }
      this.paint(true);
    }

    fold() {
      this.resized.disconnect();
      this.unfolded = null;
    }

    clicked(event) {
      const row = event.target.closest("tr[data-index]");
      if (!row || event.target.closest("a") || window.getSelection()?.toString()) return;
      const index = Number(row.dataset.index);
      if (this.details) this.toggle(index);
      else this.open(this.order[index]);
    }

    pressed(event) {
      const page = Math.max(1, Math.floor(this.box.clientHeight / ROW) - 2);
      const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
      const at = Number(event.target.closest("tr[data-index]")?.dataset.index);
      if (Number.isNaN(at)) return;
      if (event.key === "Enter" && !this.details) this.open(this.order[at]);
      else if (event.key in steps) this.go(Math.min(this.order.length - 1, Math.max(0, at + steps[event.key])));
      else return;
      event.preventDefault();
    }

    go(index) {
      this.active = index;
      const head = this.heads[0].offsetHeight, top = this.top(index), room = this.box.clientHeight - head;
      if (top < this.box.scrollTop) this.box.scrollTop = top;
      else if (top + ROW > this.box.scrollTop + room) this.box.scrollTop = top + ROW - room;
      this.paint(true);
      this.handle(index)?.focus({ preventScroll: true });
    }
  }

  mnas.VirtualTable = VirtualTable;
})(window.mnas = window.mnas || {});
