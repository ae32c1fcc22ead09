// A layer's page: the size of its tiles, and its channels sorted, filtered and paged.
"use strict";
(() => {
  const { load, make, tile, measured, fold, remember } = atlas;
  const PAGE = 192;
  const tiles = document.getElementById("tiles"), tools = document.getElementById("tools");
  const found = tools.querySelector(".found");
  const field = (name) => tools.elements.namedItem(name);
  const units = { share: "×", selectivity: "σ", sparsity: "%", max: "" };
  // What the page came with; it is put back when nothing is asked for.
  const still = [...tiles.childNodes];
  const pages = document.getElementById("pages") ?? make("nav", { hidden: "" }); // one page needs none
  const stillPages = [...pages.childNodes];
  let rows = null;

  function state() {
    const asked = new URLSearchParams(location.hash.slice(1));
    const sort = asked.get("sort") ?? "";
    return {
      sort: Object.hasOwn(units, sort) ? sort : "",
      reverse: asked.has("reverse"),
      q: (asked.get("q") ?? "").slice(0, 80),
      page: Math.max(1, parseInt(asked.get("page"), 10) || 0),
      any: ["sort", "reverse", "q", "page"].some((key) => asked.has(key)),
    };
  }

  function address({ sort, reverse, q }, page) {
    const asked = new URLSearchParams();
    if (sort) asked.set("sort", sort);
    if (reverse) asked.set("reverse", "1");
    if (q.trim()) asked.set("q", q);
    if (page) asked.set("page", page);
    return String(asked) && `#${asked}`;
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

  // What was not measured comes last, whichever way; equals stay in the order of their numbers.
  function select(all, { sort, reverse, q }) {
    const tokens = fold(q).split(" ").filter(Boolean), key = sort || "index";
    const way = Boolean(sort) === reverse ? 1 : -1; // numbers go up, measures down
    return all.filter((one) => tokens.every((token) => one.words.includes(" " + token)))
      .sort((a, b) => (a[key] === null) - (b[key] === null) || way * (a[key] - b[key]) || a.index - b.index);
  }

  function item(one, sort) {
    const alt = [`${tiles.dataset.layer}:${one.index}`, ...one.labels.slice(0, 3)].join(", ");
    const picture = one.sheet ? tile(one.sheet, one.place, alt, { loading: "lazy" })
      : make("span", { class: "blank" }, "no render");
    const text = [one.index, ...sort ? [measured(one[sort], units[sort])] : [], ...one.failed ? ["failed"] : []];
    return make("li", {}, make("a", { href: `${one.index}.html` }, picture, text.join(" · ")));
  }

  async function draw() {
    const asked = state();
    for (const name of ["sort", "q"]) if (field(name).value !== asked[name]) field(name).value = asked[name];
    field("reverse").checked = asked.reverse;
    if (!asked.any) {
      found.textContent = "";
      tiles.replaceChildren(...still);
      pages.replaceChildren(...stillPages);
      pages.hidden = !stillPages.length;
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
    const amount = Math.max(1, Math.ceil(hits.length / PAGE)), page = Math.min(asked.page, amount);
    const shown = hits.slice((page - 1) * PAGE, page * PAGE);
    tiles.replaceChildren(make("ul", { class: "grid" }, ...shown.map((one) => item(one, asked.sort))));
    pages.replaceChildren(...Array.from({ length: amount }, (_, i) => make("a", {
      href: address(asked, i + 1), "aria-current": i + 1 === page && "page",
    }, i + 1)));
    pages.hidden = amount < 2;
    found.textContent = `${hits.length.toLocaleString("en")} of ${all.length.toLocaleString("en")} channels`
      + (amount > 1 ? `, page ${page} of ${amount}` : "")
      + (asked.sort && hits.every((one) => one[asked.sort] === null) ? "; this was not measured" : "");
  }

  function ask(replace) {
    const next = address({ sort: field("sort").value, reverse: field("reverse").checked, q: field("q").value });
    history[replace ? "replaceState" : "pushState"](null, "", location.href.split("#")[0] + next);
    draw();
  }

  field("sort").addEventListener("change", () => ask(false));
  field("reverse").addEventListener("change", () => ask(false));
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
