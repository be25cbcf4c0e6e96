// The frame: which view is shown, which run, the theme, and what is wrong. Starts everything.
"use strict";
(function (mnas) {
  const { api, dom, store, views, words } = mnas;
  const VIEWS = ["overview", "front", "network", "search", "trials", "machines"];
  mnas.route = { view: "overview", rest: [] };

  // "#/network/0/17" -> view and what follows.
  function route() {
    const [view, ...rest] = window.location.hash.replace(/^#\/?/, "").split("/").map(decodeURIComponent);
    mnas.route = VIEWS.includes(view) ? { view, rest: rest.filter(Boolean) } : { view: "overview", rest: [] };
    const wasOther = store.view !== mnas.route.view;
    store.view = mnas.route.view;
    if (mnas.route.view === "network" && mnas.route.rest.length) {
      store.wanted = mnas.route.rest[0];
      store.choose(mnas.route.rest[0]);
    }
    showPanel();
    render();
    if (wasOther) { window.scrollTo(0, 0); store.poke(); }
  }

  function showPanel() {
    for (const panel of document.querySelectorAll("[data-panel]")) {
      const isActive = panel.dataset.panel === mnas.route.view;
      panel.hidden = !isActive;
      panel.toggleAttribute("data-active", isActive);
    }
    for (const link of document.querySelectorAll("a[data-view]")) {
      if (link.dataset.view === mnas.route.view) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
  }

  function render() {
    head();
    bar();
    const run = store.current;
    if (mnas.route.view === "network") views.network.show(mnas.route.rest);
    else views[mnas.route.view].show(run);
    announce(run);
  }

  function head() {
    const run = store.current;
    const select = dom.byId("run"), all = [...store.runs.values()];
    select.hidden = all.length < 2;
    dom.byId("run-name").hidden = all.length > 1;
    if (document.activeElement !== select) {
      dom.redraw(select, all.map((one) => [one.id, one.name]), () => all.map((one) => dom.el("option", { value: one.id }, one.name)));
      if (run) select.value = run.id;
    }
    if (!run) return;
    const state = run.machines?.state === "silent" ? "silent" : run.summary.state;
    const total = run.description?.total ?? run.summary.total, done = run.loaded ? run.length : run.summary.trials;
    dom.text("run-name", run.name);
    dom.text("run-state", words.RUN_STATES[state] || state);
    dom.byId("run-state").className = `pill ${state}`;
    const progress = dom.byId("run-progress");
    progress.max = Math.max(1, total || done);
    progress.value = done;
    dom.text("run-trials", total ? `${words.count(done)} / ${words.count(total)}` : words.count(done));
    const phase = run.description?.phase;
    dom.text("run-phase", phase && phase !== state && state === "running" ? phase : "");
    document.title = `${run.name}, ${mnas.route.view} - mnas`;
  }

  // What is wrong, without taking away what is on the page.
  function bar() {
    const run = store.current, told = [];
    if (store.problem) told.push(`${store.problem}. ${store.reached ? `What is shown is of ${words.clock(store.reached / 1000)}; the page tries again by itself.` : "The page tries again by itself."}`);
    const broken = run?.problem || (run?.summary.state === "broken" ? run.summary.problem : null);
    if (broken) told.push(`${run.name}: ${broken}${run.length ? " What was read of it before stays on the page." : ""}`);
    const element = dom.byId("bar");
    element.hidden = !told.length;
    dom.text(element, told.join(" "));
  }

  // New trials in words, at most every ten seconds: a reader should not be talked over.
  let announced = { run: null, length: 0, at: 0 };
  function announce(run) {
    if (!run?.loaded) return;
    if (announced.run !== run) { announced = { run, length: run.length, at: performance.now() }; return; }
    const fresh = run.length - announced.length;
    if (fresh <= 0 || performance.now() - announced.at < 10000) return;
    announced = { run, length: run.length, at: performance.now() };
    dom.say(`${words.plural(fresh, "new trial")}, ${words.count(run.length)} in all, ${words.count(run.front.length)} on the front`);
  }

  function themeButton() {
    const button = dom.byId("theme");
    const name = () => {
      const other = mnas.theme.current === "dark" ? "Light" : "Dark";
      dom.text("theme-word", other);
      button.setAttribute("aria-label", `${other} theme`);
    };
    button.addEventListener("click", () => mnas.theme.toggle());
    mnas.theme.listen(() => { name(); render(); });
    name();
  }

  // On paper all views stand below each other, in light colours and as wide as a page: pictures are drawn before the
  // browser knows its paper.
  function printing() {
    let theme = null;
    window.addEventListener("beforeprint", () => {
      theme = mnas.theme.current;
      document.documentElement.classList.add("printing");
      for (const folded of document.querySelectorAll("details.card")) folded.open = true;
      mnas.theme.show("light");
      for (const panel of document.querySelectorAll("[data-panel]")) panel.hidden = false;
      for (const view of VIEWS) if (view !== "network") views[view].show(store.current);
      views.network.show([]);
    });
    window.addEventListener("afterprint", () => {
      document.documentElement.classList.remove("printing");
      mnas.theme.show(theme);
      showPanel();
      render();
    });
  }

  dom.byId("skip").addEventListener("click", (event) => {
    event.preventDefault();
    dom.byId("main").focus();
  });
  dom.byId("run").addEventListener("change", (event) => {
    if (mnas.route.view === "network" && mnas.route.rest.length) window.location.hash = "#/network";
    store.choose(event.currentTarget.value);
  });
  window.addEventListener("hashchange", route);
  themeButton();
  printing();
  document.documentElement.toggleAttribute("data-report", api.isReport);
  route();
  store.listen(render);
  store.start();
})(window.mnas = window.mnas || {});
