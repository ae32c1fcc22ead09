// What all pages share: data files, tiles, names of channels, dialogs, keys, theme, copying.
"use strict";
window.atlas = (() => {
  const html = document.documentElement;
  const root = html.dataset.root;
  const arrived = {};

  // A page from a disk may load scripts but not read files: data files call `register`.
  const register = (name, data) => { arrived[name] = data; };
  const load = (name) => new Promise((done, fail) => {
    if (arrived[name]) return done(arrived[name]);
    const script = make("script", { src: `${root}data/${name}.js` });
    script.onload = () => done(arrived[name]);
    script.onerror = () => fail(new Error(`data/${name}.js could not be loaded.`));
    return document.head.append(script);
  });

  // Labels are foreign text: they become text nodes and attributes, never markup.
  function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (value !== undefined && value !== false) element.setAttribute(name, value);
    }
    element.append(...children);
    return element;
  }

  // Tile `place` of a sheet of `count`; strips.css cuts it out.
  function tile([path, count, size], place, alt, more = {}) {
    const classes = count > 1 ? `s n${count} i${place}` : "s";
    const src = (html.dataset.media || root) + path;
    return make("img", { class: classes, src, width: size, height: size, alt, ...more });
  }

  // In about three figures, as the pages print them.
  function number(value) {
    const size = Math.abs(value);
    const text = size >= 1e7 || (size > 0 && size < 1e-4) ? size.toExponential(2)
      : size >= 99.95 ? Math.round(size).toLocaleString("en")
        : size >= 9.995 ? size.toFixed(1)
          : size >= 0.9995 ? size.toFixed(2) : String(Number(size.toPrecision(3)));
    return value < 0 ? `−${text}` : text;
  }

  const measured = (value, unit = "") => value === null ? "–"
    : unit === "%" ? `${Math.round(100 * value)} %` : `${number(value)} ${unit}`.trim();

  // Lower case without accents, words apart by single spaces, one before the first.
  const fold = (text) => " " + text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase()
    .split(/[^\p{L}\p{N}]+/u).filter(Boolean).join(" ");

  // The layer that a text begins with, by any of its names, and what follows: "4c 447", "mixed4c:447".
  function layerOf(text, layers) {
    const wanted = text.trim().toLowerCase();
    let found = null, length = 0;
    for (const layer of layers) {
      for (const name of [layer.name, layer.folder, layer.short, ...layer.aliases]) {
        const key = name.toLowerCase();
        if (key.length <= length || !wanted.startsWith(key)) continue;
        const after = wanted.slice(key.length);
        if (after && !/^[\s:/_-]/.test(after) && !(/\D$/.test(key) && /^\d/.test(after))) continue;
        found = { layer, rest: after.replace(/^[\s:/_-]+/, "") };
        length = key.length;
      }
    }
    return found;
  }

  // The channel a text names, or null: { layer, index, position in the layer's lists }.
  function unitOf(text, layers) {
    const found = layerOf(text, layers);
    if (!found || !/^\d+$/.test(found.rest)) return null;
    const index = Number(found.rest), at = found.layer.indices.indexOf(index);
    return at < 0 ? null : { layer: found.layer, index, at };
  }

  // A dialog that is there while it is open. A click beside it closes it.
  function dialog(id, label, ...children) {
    const box = make("dialog", { id, "aria-label": label }, make("div", {}, ...children));
    box.addEventListener("click", (event) => { if (event.target === box) box.close(); });
    box.addEventListener("close", () => box.remove());
    document.body.append(box);
    box.showModal();
    return box;
  }

  const said = make("p", { class: "unseen", role: "status" });

  const keys = {
    "←": "previous channel, layer or class", "→": "next",
    "↑": "one level up, from the top of a page", "/": "search",
    Enter: "enlarge a picture; ← and → show its neighbours", Esc: "close", "?": "this list",
  };

  function showKeys() {
    const close = make("button", { type: "button" }, "Close");
    const rows = Object.entries(keys).flatMap(([key, what]) =>
      [make("dt", {}, make("kbd", {}, key)), make("dd", {}, what)]);
    const box = dialog("keys", "Keyboard", make("h2", {}, "Keyboard"), make("dl", {}, ...rows), close);
    close.addEventListener("click", () => box.close());
    close.focus();
  }

  const follow = (selector) => document.querySelector(selector)?.click();
  const bindings = {
    ArrowLeft: () => follow(".pager a[rel=prev]"),
    ArrowRight: () => follow(".pager a[rel=next]"),
    // Anywhere else the key scrolls, and holding it down to get to the top leads no further.
    ArrowUp: (event) => !scrollY && !event.repeat && follow("a[data-key=up]"),
    "/": () => atlas.openSearch(),
    "?": showKeys,
  };

  function pressed(event) {
    const { target, key } = event;
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if (!Object.hasOwn(bindings, key) || document.querySelector("dialog[open]")) return;
    if (target.closest("input, textarea, select, [contenteditable]")) return;
    if (!key.startsWith("Arrow")) event.preventDefault();
    // A box in focus that is wider than its room scrolls.
    else if (event.shiftKey || target.tabIndex >= 0 && target.scrollWidth > target.clientWidth + 1) return;
    bindings[key](event);
  }

  function remember(key, value) {
    try {
      if (value === null) localStorage.removeItem(key);
      else localStorage.setItem(key, value);
    } catch (_) { /* storage may be forbidden */ }
  }

  // Two states: what the system prefers, which is not remembered, and its opposite, which is.
  function themes(button) {
    const system = matchMedia("(prefers-color-scheme: dark)");
    const dark = () => html.dataset.theme ? html.dataset.theme === "dark" : system.matches;
    const show = () => button.setAttribute("aria-pressed", dark());
    button.addEventListener("click", () => {
      const next = !dark();
      if (next === system.matches) delete html.dataset.theme;
      else html.dataset.theme = next ? "dark" : "light";
      remember("atlas-theme", html.dataset.theme ?? null);
      show();
    });
    system.addEventListener("change", show);
    // Another window may change it, or another page while this one is put aside.
    const recall = () => {
      try {
        const theme = localStorage.getItem("atlas-theme");
        if (theme) html.dataset.theme = theme;
        else delete html.dataset.theme;
      } catch (_) { /* storage may be forbidden */ }
      show();
    };
    addEventListener("storage", recall);
    addEventListener("pageshow", (event) => { if (event.persisted) recall(); });
    show();
  }

  // The clipboard API is only there on secure pages, and a page from a disk may not be one.
  async function copy(text) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch (_) {
      const field = make("textarea", { class: "unseen", readonly: "" }, text);
      const before = document.activeElement;
      document.body.append(field);
      field.select();
      const done = document.execCommand("copy");
      field.remove();
      before?.focus();
      return done;
    }
  }

  function copying(button) {
    const label = button.textContent;
    button.addEventListener("click", async () => {
      button.style.setProperty("min-width", `${button.getBoundingClientRect().width}px`);
      button.textContent = await copy(button.dataset.copy) ? "copied" : "not allowed";
      said.textContent = `${button.dataset.copy} ${button.textContent}`;
      setTimeout(() => { button.textContent = label; }, 2000);
    });
  }

  document.body.append(said);
  document.addEventListener("keydown", pressed);
  for (const [name, action] of [["theme-toggle", themes], ["copy", copying],
    ["keys", (button) => button.addEventListener("click", showKeys)],
    ["search", (button) => button.addEventListener("click", () => atlas.openSearch())]]) {
    document.querySelectorAll(`button[data-${name}]`).forEach(action);
  }
  // On a narrow screen the layers are a row to be scrolled: begin at the one we are in.
  const here = document.querySelector(".bar nav [aria-current]"), row = here?.parentElement;
  if (row) row.scrollLeft = here.offsetLeft - row.offsetLeft - row.clientWidth / 2;

  return {
    root, register, load, make, tile, number, measured, fold, layerOf, unitOf, dialog, remember,
  };
})();
