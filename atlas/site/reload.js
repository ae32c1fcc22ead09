// Reloads the page when the site has changed. A page's policy allows scripts of its own origin and
// nothing else, so the question is a script element, and the server answers it when there is news.
// Only pages in view ask: a browser has few connections to one server, and hidden tabs need none.
(function () {
  "use strict";
  var since = document.currentScript.src.split("since=")[1];
  function ask() {
    if (document.hidden) {
      document.addEventListener("visibilitychange", ask, { once: true });
      return;
    }
    var script = document.createElement("script");
    function again(pause) {
      script.remove();
      setTimeout(ask, pause);
    }
    script.src = "/__atlas/changed.js?since=" + since + "&at=" + Date.now();
    script.onload = function () { again(0); };
    script.onerror = function () { again(2000); };
    document.head.append(script);
  }
  addEventListener("load", function () { setTimeout(ask, 0); });
})();
