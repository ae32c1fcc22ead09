// Search: a dialog over the channels, layers, classes and notes of data/search.js.
"use strict";
(() => {
  const { load, make, tile, fold, layerOf, dialog } = atlas;
  const MOST = 14;
  let index = null;

  // Done once, so that a keystroke only compares strings.
  function prepare(data) {
    return index ??= {
      ...data,
      folded: data.labels.map(fold),
      layers: data.layers.map((layer) => (
        { ...layer, folded: fold([layer.name, layer.short, ...layer.aliases].join(" ")) })),
      // The same length as the text, so that a place in one is a place in the other.
      notes: data.notes.map(([title, page, text]) => ({
        title, page, text, folded: fold(title),
        flat: " " + text.toLowerCase().replace(/[^\p{L}\p{N}]/gu, " "),
      })),
    };
  }

  const has = (text, tokens) => tokens.every((token) => text.includes(" " + token));

  function unit(data, layer, at) {
    const { labels: width, tiles: most } = data.columns;
    const labels = layer.labels.slice(width * at, width * (at + 1)).filter((label) => label >= 0);
    return {
      kind: "channel",
      title: `${layer.name}:${layer.indices[at]}`,
      detail: labels.map((label) => data.labels[label]).join(", "),
      href: `${layer.folder}/${layer.indices[at]}.html`,
      sheet: layer.sheets[Math.floor(layer.tiles[at] / most)],
      place: layer.tiles[at] % most,
    };
  }

  // A layer's channel and those whose numbers begin like it, or that number in every layer.
  function* named(data, query) {
    const found = layerOf(query, data.layers), wanted = found ? found.rest : query;
    if (!/^\d+$/.test(wanted)) return;
    for (const layer of found ? [found.layer] : data.layers) {
      const exact = layer.indices.indexOf(Number(wanted));
      if (exact >= 0) yield unit(data, layer, exact);
      const longer = layer.indices.map((_, at) => at).filter((at) =>
        found && at !== exact && String(layer.indices[at]).startsWith(wanted));
      for (const at of longer.slice(0, 6)) yield unit(data, layer, at);
    }
  }

  function* layers(data, tokens) {
    for (const layer of data.layers) {
      if (!has(layer.folded, tokens)) continue;
      const detail = `${layer.indices.length.toLocaleString("en")} channels`;
      yield { kind: "layer", title: layer.name, detail, href: `${layer.folder}/index.html` };
    }
  }

  function* classes(data, query, tokens) {
    const found = data.classes.filter(([label]) => has(data.folded[label], tokens));
    const rank = ([label]) => (data.folded[label] !== query) + !data.folded[label].startsWith(query);
    found.sort((a, b) => rank(a) - rank(b));
    for (const [label, page] of found.slice(0, 5)) {
      yield { kind: "class", title: data.labels[label] || "no label", detail: "", href: page };
    }
  }

  function* notes(data, tokens) {
    const titled = data.notes.filter((note) => has(note.folded, tokens));
    const others = data.notes.filter((note) =>
      !titled.includes(note) && tokens.every((t) => has(note.flat, [t]) || has(note.folded, [t])));
    for (const { title, page, text, flat } of [...titled, ...others].slice(0, 5)) {
      const at = Math.max(0, ...tokens.map((token) => flat.indexOf(" " + token)));
      const start = at < 40 ? 0 : text.indexOf(" ", at - 40) + 1;
      yield { kind: "note", title, detail: (start ? "… " : "") + text.slice(start, start + 110), href: page };
    }
  }

  // Channels by their labels, the strongest label first and from the last layer to the first,
  // as classes are told apart late. A layer's name before the words keeps to that layer.
  function* labelled(data, query, tokens) {
    const one = layerOf(query, data.layers);
    const words = one?.rest ? fold(one.rest).split(" ").filter(Boolean) : tokens;
    const hits = data.folded.map((label) => has(label, words));
    const among = one?.rest ? [one.layer] : [...data.layers].reverse();
    const width = data.columns.labels;
    for (let place = 0; place < width; place++) {
      for (const layer of among) {
        for (let at = 0; at < layer.indices.length; at++) {
          const label = layer.labels[at * width + place];
          if (label >= 0 && hits[label]) yield unit(data, layer, at);
        }
      }
    }
  }

  // What a query finds, best first: named channels, layers, classes, notes, labelled channels.
  atlas.search = (data, text) => {
    data = prepare(data);
    const query = fold(text), tokens = query.split(" ").filter(Boolean);
    const found = new Map();
    if (!tokens.length) return [];
    const groups = [
      named(data, text.trim()), layers(data, tokens), classes(data, query, tokens),
      notes(data, tokens), labelled(data, text, tokens),
    ];
    for (const group of groups) {
      for (const one of group) {
        if (!found.has(one.href)) found.set(one.href, one);
        if (found.size === MOST) return [...found.values()];
      }
    }
    return [...found.values()];
  };

  function option(one, number) {
    const detail = one.detail && make("small", { dir: "auto" }, one.detail);
    return make("a", {
      id: `found-${number}`, role: "option", tabindex: "-1", "data-kind": one.kind,
      href: atlas.root + one.href, "aria-selected": "false",
    }, make("b", {}, one.title), detail);
  }

  atlas.openSearch = () => {
    const input = make("input", {
      type: "text", role: "combobox", "aria-expanded": "false", "aria-controls": "found",
      "aria-autocomplete": "list", "aria-label": "Search", autocomplete: "off", spellcheck: "false",
      placeholder: "4c 447, a layer, a class, a word",
    });
    const list = make("div", { id: "found", role: "listbox", "aria-label": "Found" });
    const status = make("p", { role: "status" }, "Loading …");
    let data = null, active = -1, timer;
    dialog("search", "Search", input, status, list);
    input.focus();

    function choose(number) {
      list.children[active]?.setAttribute("aria-selected", "false");
      active = number;
      const chosen = list.children[active];
      if (!chosen) return input.removeAttribute("aria-activedescendant");
      chosen.setAttribute("aria-selected", "true");
      chosen.scrollIntoView({ block: "nearest" });
      return input.setAttribute("aria-activedescendant", chosen.id);
    }

    function update() {
      if (!data) return;
      const found = atlas.search(data, input.value);
      list.replaceChildren(...found.map(option));
      list.hidden = !found.length;
      input.setAttribute("aria-expanded", found.length > 0);
      status.textContent = found.length ? `${found.length === MOST ? "The first " : ""}${found.length} found`
        : input.value.trim() ? "Nothing found. Try a number, a layer, a label or fewer words."
          : "Channels, layers, classes and notes.";
      choose(found.length ? 0 : -1);
      // A picture brings its whole sheet along, so not for what is only typed through.
      clearTimeout(timer);
      timer = setTimeout(() => found.forEach((one, number) => {
        if (one.sheet) list.children[number].prepend(tile(one.sheet, one.place, ""));
      }), 150);
    }

    input.addEventListener("input", update);
    input.addEventListener("keydown", (event) => {
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key], amount = list.children.length;
      if (step && amount) choose((active + step + amount) % amount);
      else if (event.key === "Enter") list.children[active]?.click();
      else return;
      event.preventDefault();
    });
    load("search").then((content) => { data = content; update(); })
      .catch((error) => { status.textContent = `Search is not available: ${error.message}`; });
  };
})();
