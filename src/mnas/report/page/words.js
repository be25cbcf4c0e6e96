// How numbers, times and states are written. Null is written as a dash, never as 0.
"use strict";
(function (mnas) {
  const DASH = "–";
  const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
  const UNITS = [[1e9, "G"], [1e6, "M"], [1e3, "k"]];
  const known = (value) => typeof value === "number" && Number.isFinite(value);

  // Three or four digits that count, as terminals and tables of mnas write milliseconds.
  function ms(value) {
    if (!known(value)) return DASH;
    const size = Math.abs(value);
    return value.toFixed(size >= 100 ? 1 : size >= 10 ? 2 : size >= 1 ? 3 : 4);
  }

  function short(value) {
    if (!known(value)) return DASH;
    const [unit, letter] = UNITS.find(([unit]) => Math.abs(value) >= unit) || [1, ""];
    const scaled = value / unit;
    if (letter === "") return Number.isInteger(value) ? whole.format(value) : String(Number(value.toPrecision(4)));
    return `${scaled.toFixed(scaled >= 100 ? 0 : scaled >= 10 ? 1 : 2)} ${letter}`;
  }

  function duration(seconds) {
    if (!known(seconds)) return DASH;
    const s = Math.max(0, Math.round(seconds));
    if (s < 60) return `${s} s`;
    if (s < 600) return `${Math.floor(s / 60)} min ${String(s % 60).padStart(2, "0")} s`;
    if (s < 3600) return `${Math.floor(s / 60)} min`;
    if (s < 48 * 3600) return `${Math.floor(s / 3600)} h ${String(Math.floor((s % 3600) / 60)).padStart(2, "0")} min`;
    return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
  }

  const two = (value) => String(value).padStart(2, "0");

  function clock(epoch) {
    if (!known(epoch) || epoch <= 0) return DASH;
    const at = new Date(1000 * epoch);
    return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
  }

  function moment(epoch) {
    if (!known(epoch) || epoch <= 0) return DASH;
    const at = new Date(1000 * epoch);
    return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${clock(epoch)}`;
  }

  const RUN_STATES = { running: "running", finished: "finished", stopped: "stopped", failed: "failed", silent: "driver silent", broken: "broken" };

  mnas.words = {
    DASH, RUN_STATES, known, ms, short, duration, clock, moment,
    count: (value) => (known(value) ? whole.format(value) : DASH),
    percent: (fraction, digits = 2) => (known(fraction) ? (100 * fraction).toFixed(digits).replace(/^-(?=[0.]*$)/, "") : DASH),
    signed: (value, digits = 2) => (known(value) ? `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(digits)}` : DASH),
    reward: (value) => (known(value) ? value.toFixed(4) : DASH),
    megabytes: (bytes) => (known(bytes) ? `${(bytes / 1e6).toFixed(2)} MB` : DASH),
    interval: (low, high, write = ms) => (known(low) && known(high) ? `${write(low)} – ${write(high)}` : DASH),
    plural: (count, one, many = `${one}s`) => `${whole.format(count)} ${count === 1 ? one : many}`,
    value(thing) {  // a setting, as TOML would have it
      if (thing === null || thing === undefined) return DASH;
      if (Array.isArray(thing)) return thing.map(mnas.words.value).join(", ");
      if (typeof thing === "object") return Object.entries(thing).map(([k, v]) => `${k} = ${mnas.words.value(v)}`).join(", ");
      return String(thing);
    },
  };
})(window.mnas = window.mnas || {});
