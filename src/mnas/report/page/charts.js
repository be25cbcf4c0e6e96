// ECharts as this page uses it: one instance for each picture, made when it is first seen and then only told of changes;
// the palette of mnas' figures; and the same values as a table for who does not see pictures.
"use strict";
(function (mnas) {
  const { dom } = mnas;
  // Okabe and Ito's palette, told apart by colour-blind readers; lighter blues on dark ground.
  const LIGHT = {
    ink: "#1b2026", muted: "#57626e", line: "#e1e5ea", card: "#ffffff", shade: "#f1f4f7",
    grey: "#8a8f98", blue: "#0072b2", sky: "#56b4e9", orange: "#e69f00", green: "#009e73", red: "#d55e00", purple: "#cc79a7",
    runs: ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#8a8f98", "#1b2026"],
  };
  const DARK = {
    ink: "#e6eaef", muted: "#9ea9b5", line: "#2b333c", card: "#171c22", shade: "#1f262e",
    grey: "#8a8f98", blue: "#56b4e9", sky: "#0072b2", orange: "#e69f00", green: "#1fb58a", red: "#e8762b", purple: "#d795bb",
    runs: ["#56b4e9", "#e69f00", "#1fb58a", "#d795bb", "#e8762b", "#f0e442", "#8a8f98", "#e6eaef"],
  };
  const all = [];

  const colours = () => (mnas.theme.current === "dark" ? DARK : LIGHT);

  // A picture. `option(colours)` gives ECharts' option for what is known now.
  class Picture {
    constructor(id, option) {
      this.element = dom.byId(id);
      this.option = option;
      this.chart = null;
      this.drawn = null;
      all.push(this);
    }

    // Draw, if `key` says that something has changed since.
    draw(key) {
      const wanted = `${key} ${mnas.theme.current}`;
      if (!this.element.clientWidth) return;  // not on the page now
      if (!this.chart) this.make();
      else this.fit();
      if (this.drawn === wanted) return;
      this.key = key;
      this.drawn = wanted;
      const option = this.option(colours());
      this.chart.setOption({ ...base(colours()), ...option }, { replaceMerge: ["series"] });
      this.onplace?.();
    }

    make() {
      const locale = "EN";
      this.chart = window.echarts.init(this.element, null, { renderer: "canvas", locale });
      this.size = this.element.clientWidth;
      new ResizeObserver(() => this.fit()).observe(this.element);
    }

    fit() {
      const { clientWidth, clientHeight } = this.element;
      if (!clientWidth || (clientWidth === this.chart.getWidth() && clientHeight === this.chart.getHeight())) return;
      this.chart.resize();
      this.onplace?.();
    }

    describe(words) { this.element.setAttribute("aria-label", words); }
  }

  mnas.theme.listen(() => { for (const picture of all) if (picture.chart) picture.draw(picture.key); });

  function base(c) {
    return {
      animation: false,
      backgroundColor: "transparent",
      textStyle: { fontFamily: "system-ui, sans-serif", color: c.ink },
      grid: { left: 8, right: 16, top: 6, bottom: 4, outerBoundsMode: "same", outerBoundsContain: "all" },
      tooltip: tooltip(c),
    };
  }

  // Rich text, not HTML: the policy allows no style attributes, and text from runs stays text.
  function tooltip(c) {
    return {
      trigger: "axis", renderMode: "richText", confine: true, transitionDuration: 0,
      backgroundColor: c.card, borderColor: c.line, borderWidth: 1, padding: [8, 10],
      textStyle: { color: c.ink, fontSize: 12 },
      axisPointer: { lineStyle: { color: c.muted, type: "dashed" } },
    };
  }

  function axis(c, name, options = {}) {
    const isX = options.isX ?? false;
    const { isX: _, ...rest } = options;
    return {
      type: "value", name, scale: true,
      nameLocation: isX ? "middle" : "end",
      nameGap: isX ? 26 : 12,
      nameTextStyle: { color: c.muted, fontSize: 12, align: isX ? "center" : "left", padding: isX ? 0 : [0, 0, 0, -28] },
      axisLine: { show: isX, lineStyle: { color: c.line } },
      axisTick: { show: false },
      axisLabel: { color: c.muted, fontSize: 12, hideOverlap: true },
      splitLine: { lineStyle: { color: c.line, opacity: isX ? 0.5 : 1 } },
      ...rest,
    };
  }

  // What a picture says where there is nothing to draw yet; it keeps its place.
  function empty(c, words) {
    return { title: { text: words, left: "center", top: "middle", textStyle: { color: c.muted, fontSize: 13, fontWeight: "normal" } },
      xAxis: { show: false, type: "value" }, yAxis: { show: false, type: "value" }, legend: { show: false }, series: [] };
  }

  const legend = (c, data) => ({ show: true, top: 0, right: 8, itemWidth: 14, itemHeight: 8, textStyle: { color: c.muted, fontSize: 12 }, data });

  // Lines across a picture, where they are: by itself ECharts rounds their places to two decimals, and 0.0746 ms to 0.07.
  const markLine = (data, look) => ({ silent: true, symbol: "none", animation: false, precision: -1, data, ...look });

  // A folded table beside a picture; its rows are made when it is opened and while it is open.
  const MOST_ROWS = 1000;
  class TableOf {
    constructor(chart, values) {
      this.host = document.querySelector(`[data-chart="${chart}"]`);
      this.values = values;
      this.body = dom.el("div", { class: "wide", tabindex: "0", role: "region", "aria-label": "The picture as a table" });
      this.details = dom.el("details", {}, dom.el("summary", {}, "Show as table"), this.body);
      this.details.addEventListener("toggle", () => this.update(NaN));
      this.host.append(this.details);
    }

    update(key) {
      if (!this.details.open || key === this.key) return;
      this.key = key;
      const { heads, rows } = this.values();
      const note = rows.length > MOST_ROWS ? `The last ${MOST_ROWS} of ${rows.length} rows` : "";
      this.body.replaceChildren(note, dom.table(heads, rows.slice(-MOST_ROWS)));
    }
  }

  mnas.charts = { Picture, TableOf, axis, base, colours, empty, legend, markLine, tooltip };
})(window.mnas = window.mnas || {});
