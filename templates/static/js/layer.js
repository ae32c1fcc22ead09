// A layer's page: the size of its tiles, and its channels sorted, filtered and paged.
"use strict";
(() => {
  const { load, make, tile, number, percent, fold, remember } = atlas;
  const PAGE = 192;
  const tiles = document.getElementById("tiles"), tools = document.getElementById("tools");
  const found = tools.querySelector(".found");
  const field = (name) => tools.elements.namedItem(name);
  const measures = {
    share: [(value) => value === null ? "–" : `${number(value)} ×`, "share of best photograph"],
    selectivity: [(value) => value === null ? "–" : `${number(value)} σ`, "class selectivity"],
    sparsity: [percent, "sparsity"],
    max: [number, "maximum"],
  };
  // What the page came with; it is put back when nothing is asked for.
  const still = [...tiles.childNodes];
  const pages = document.getElementById("pages")
    ?? tiles.parentElement.insertBefore(make("nav", { class: "pages", id: "pages", "aria-label": "Pages", hidden: "" }), tiles.nextSibling);
  const stillPages = [...pages.childNodes], without = pages.hidden;
  let rows = null;

  function state() {
    const asked = new URLSearchParams(location.hash.slice(1));
    const sort = asked.get("sort") ?? "";
    return {
      sort: Object.hasOwn(measures, sort) ? sort : "",
      low: asked.has("low"),
      q: (asked.get("q") ?? "").slice(0, 80),
      page: Math.max(1, parseInt(asked.get("page"), 10) || 0),
      any: ["sort", "low", "q", "page"].some((key) => asked.has(key)),
    };
  }

  function address({ sort, low, q, page }) {
    const asked = new URLSearchParams();
    if (sort) asked.set("sort", sort);
    if (low) asked.set("low", "1");
    if (q.trim()) asked.set("q", q);
    if (page > 1) asked.set("page", page);
    return location.href.split("#")[0] + (String(asked) && `#${asked}`);
  }

  async function channels() {
    if (rows) return rows;
    const data = await load(`layers/${tiles.dataset.folder}`);
    rows = data.rows.map((row) => {
      const one = Object.fromEntries(data.columns.map((name, i) => [name, row[i]]));
      const labels = one.labels.map((label) => data.labels[label]);
      const words = fold(`${data.name} ${one.index} ${data.branches[one.branch]} ${labels.join(" ")}`);
      return { ...one, labels, words, sheet: data.sheets[one.sheet], place: one.tile };
    });
    return rows;
  }

  function select(all, { sort, low, q }) {
    const tokens = fold(q).split(" ").filter(Boolean);
    const hits = all.filter((one) => tokens.every((token) => one.words.includes(" " + token)));
    const value = (one) => sort ? one[sort] : one.index;
    const way = low || !sort ? 1 : -1;
    const up = sort || !low ? way : -1;
    // What was not measured comes last, whichever way; equals stay in the order of their numbers.
    return hits.sort((a, b) => (value(a) === null) - (value(b) === null)
      || up * (value(a) - value(b)) || a.index - b.index);
  }

  function item(one, sort, name) {
    const unit = `${name}:${one.index}`;
    const alt = `${unit}, optimized image${one.labels.length ? `; answers to ${one.labels.slice(0, 3).join(", ")}` : ""}`;
    const picture = one.sheet ? tile(one.sheet, one.place, alt, { loading: "lazy" })
      : make("span", { class: "blank" }, "no render");
    const text = `${one.index}${sort ? ` · ${measures[sort][0](one[sort])}` : ""}${one.started ? "" : " · never started"}`;
    return make("li", {}, make("a", { href: `${one.index}.html` }, picture, text));
  }

  function pageLinks(asked, amount) {
    return Array.from({ length: amount > 1 ? amount : 0 }, (_, i) => make("a", {
      href: address({ ...asked, page: i + 1 }).replace(/^[^#]*$/, "#page=1").replace(/^[^#]*#/, "#"),
      "aria-current": i + 1 === asked.page ? "page" : undefined,
    }, String(i + 1)));
  }

  async function draw() {
    const asked = state();
    for (const name of ["sort", "q"]) if (field(name).value !== asked[name]) field(name).value = asked[name];
    field("low").checked = asked.low;
    if (!asked.any) {
      found.textContent = "";
      tiles.replaceChildren(...still);
      pages.replaceChildren(...stillPages);
      pages.hidden = without;
      return;
    }
    let all;
    try {
      all = await channels();
    } catch (error) {
      found.textContent = `Cannot sort or filter: ${error.message}`;
      return;
    }
    if (JSON.stringify(asked) !== JSON.stringify(state())) return; // meanwhile something else is asked for
    const hits = select(all, asked);
    const amount = Math.max(1, Math.ceil(hits.length / PAGE));
    asked.page = Math.min(asked.page, amount);
    const shown = hits.slice((asked.page - 1) * PAGE, asked.page * PAGE);
    const list = make("ul", { class: "grid" });
    list.append(...shown.map((one) => item(one, asked.sort, tiles.dataset.layer)));
    tiles.replaceChildren(list);
    pages.replaceChildren(...pageLinks(asked, amount));
    pages.hidden = amount < 2;
    const none = asked.sort && hits.every((one) => one[asked.sort] === null);
    found.textContent = `${hits.length.toLocaleString("en")} of ${all.length.toLocaleString("en")} channels`
      + (asked.sort ? `, by ${measures[asked.sort][1]}${none ? ", which was not measured" : ""}` : "")
      + (amount > 1 ? `, page ${asked.page} of ${amount}` : "");
  }

  function ask(replace) {
    const next = address({ sort: field("sort").value, low: field("low").checked, q: field("q").value, page: 1 });
    if (next === location.href) return;
    history[replace ? "replaceState" : "pushState"](null, "", next);
    draw();
  }

  field("sort").addEventListener("change", () => ask(false));
  field("low").addEventListener("change", () => ask(false));
  // A word that is typed is one step back, not one for each letter.
  field("q").addEventListener("input", () => ask(state().q !== "" && field("q").value !== ""));
  tools.addEventListener("submit", (event) => event.preventDefault());
  pages.addEventListener("click", (event) => {
    if (!event.target.closest("a[href^='#']")) return;
    tools.scrollIntoView();
    field("q").focus({ preventScroll: true });
  });
  addEventListener("popstate", draw);

  const size = field("size"), html = document.documentElement;
  size.value = parseInt(html.style.getPropertyValue("--tile"), 10) || tiles.querySelector("li")?.clientWidth || 104;
  size.addEventListener("input", () => {
    html.classList.add("sized");
    html.style.setProperty("--tile", `${size.value}px`);
    remember("atlas-tile", size.value);
  });
  draw();
})();
