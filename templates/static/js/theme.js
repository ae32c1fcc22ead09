// Runs before the first paint: what changes the layout has to be known by then.
(function () {
  "use strict";
  var html = document.documentElement;
  html.classList.add("js");
  try {
    var theme = localStorage.getItem("atlas-theme");
    var tile = parseInt(localStorage.getItem("atlas-tile"), 10);
    if (theme === "dark" || theme === "light") html.dataset.theme = theme;
    if (tile >= 48 && tile <= 224) {
      html.classList.add("sized");
      html.style.setProperty("--tile", tile + "px");
    }
  } catch (_) { /* storage may be forbidden: then nothing is remembered */ }
})();
