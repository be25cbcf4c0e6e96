// Work done in pieces, each in a frame of its own, so that the page answers in between and shows what is there already.
"use strict";
(function (mnas) {
  let waiting = [], isWanted = () => true, isGoing = false;

  // Do these one after the other for as long as `wanted()` says so. What was not done of earlier ones is left undone.
  // A page that is printed cannot wait: there all is done at once.
  function inPieces(pieces, wanted) {
    if (document.documentElement.classList.contains("printing")) {
      for (const piece of pieces) piece();
      return;
    }
    [waiting, isWanted] = [[...pieces], wanted];
    if (!isGoing) next();
  }

  function next() {
    isGoing = waiting.length > 0;
    if (isGoing) requestAnimationFrame(() => window.setTimeout(step));  // after that frame is painted, not before
  }

  function step() {
    if (!isWanted()) waiting = [];
    try {
      waiting.shift()?.();
    } finally {  // one that fails costs itself alone
      next();
    }
  }

  mnas.inPieces = inPieces;
})(window.mnas = window.mnas || {});
