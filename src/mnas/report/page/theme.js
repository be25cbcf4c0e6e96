// Light or dark: what the person chose, else what the system wants. First of all scripts, so that nothing flashes.
"use strict";
(function (mnas) {
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const listeners = [];

  function chosen() {
    try { return window.localStorage.getItem("mnas-theme"); } catch { return null; }  // no storage in some files
  }

  function keep(theme) {
    try { window.localStorage.setItem("mnas-theme", theme); } catch { /* it holds for this page alone */ }
  }

  function show(theme) {
    document.documentElement.dataset.theme = theme;
    for (const listener of listeners) listener(theme);
  }

  const theme = mnas.theme = {
    get current() { return document.documentElement.dataset.theme; },
    toggle() {
      const next = theme.current === "dark" ? "light" : "dark";
      keep(next);
      show(next);
    },
    show,
    listen(listener) { listeners.push(listener); },
  };

  system.addEventListener("change", (event) => { if (!chosen()) show(event.matches ? "dark" : "light"); });
  show(chosen() || (system.matches ? "dark" : "light"));
})(window.mnas = window.mnas || {});
