// Channels side by side; which ones is in the address: compare.html#mixed4c:447,mixed4a:97.
"use strict";
(() => {
  const { load, make, tile, number, percent, unitOf, zoomable } = atlas;
  const MOST = 6;
  const box = document.getElementById("compare"), form = document.getElementById("add");
  const status = form.querySelector(".found"), title = document.title;
  const kinds = [["p", "Positive", "+"], ["d", "Diverse", "+"], ["u", "Neuron", "+"], ["n", "Negative", "−"]];
  const meanings = { max: "maximum", mean: "mean", std: "deviation", min: "minimum", fires: "fires in" };
  const nameOf = ({ layer, index }) => `${layer.folder}:${index}`;

  function asked() {
    const parts = location.hash.slice(1).split(",").map((part) => {
      try {
        return decodeURIComponent(part).trim();
      } catch (_) {
        return part;
      }
    });
    return parts.filter(Boolean);
  }

  function go(units) {
    location.hash = units.map(nameOf).join(",");
  }

  // Renders and photographs are rows of [sheet, tiles, size, places, …].
  const pictures = (row, paths, alts) => row[3].map((place, i) =>
    tile([paths[0] + row[0] + paths[1], row[1], row[2]], place, alts(i), { loading: "lazy" }));

  function figure(unit, row, paths, [letter, kind, sign]) {
    const at = [...row[4]].flatMap((one, i) => one === letter ? [i] : []);
    if (!at.length) return make("p", { class: "none" }, `No ${kind.toLowerCase()} image.`);
    const scores = at.map((i) => row[5][i]).filter((score) => score !== null).sort((a, b) => a - b);
    const range = [...new Set([scores[0], scores.at(-1)].map((score) => number(score ?? null)))];
    const shown = pictures(row, paths, (i) => `${nameOf(unit)}, ${kind.toLowerCase()}`);
    const mark = make("span", { class: `sign ${sign === "+" ? "pos" : "neg"}`, "aria-hidden": "true" }, sign);
    return make("figure", {},
      make("div", { class: at.length > 1 ? "four" : "one" }, ...at.map((i) => shown[i])),
      make("figcaption", {}, mark, " ", make("b", {}, kind), " ",
        scores.length ? make("span", { class: "v" }, range.join(" to ")) : "never started"));
  }

  function photographs(unit, row, data) {
    if (!row[3].length) return make("p", { class: "none" }, "No photographs.");
    const labels = row[4].map((label) => data.labels[label]);
    const shown = pictures(row, data.paths.photographs, (i) => `${nameOf(unit)} high: ${labels[i] || "photograph"}`);
    return make("ul", { class: "photos" }, ...shown.map((picture, i) =>
      make("li", {}, picture, make("bdi", {}, labels[i]), " ", make("b", {}, number(row[5][i])))));
  }

  function column(unit, units, data, facts) {
    const { layer, index } = unit;
    const [renders, photos, stats] = data.rows[index];
    const name = `${layer.name}:${index}`;
    const remove = make("button", { type: "button", "aria-label": `Remove ${name}` }, "×");
    remove.addEventListener("click", () => {
      go(units.filter((one) => one !== unit));
      form.elements.namedItem("unit").focus();
    });
    const rows = data.stats.map((key, i) => [meanings[key], key === "fires" ? percent(stats[i]) : number(stats[i])]);
    rows.push(["selectivity", facts.selectivity === null ? "–" : `${number(facts.selectivity)} σ`]);
    rows.push(["share of best", facts.share === null ? "–" : `${number(facts.share)} ×`]);
    return make("section", { class: "unit", "aria-label": name },
      make("h2", {}, make("a", { href: `${layer.folder}/${index}.html` }, name), remove),
      ...kinds.map((kind) => figure(unit, renders, data.paths.renders, kind)),
      photographs(unit, photos, data),
      make("p", { class: "labels", dir: "auto" }, facts.labels.join(", ") || "No labels."),
      make("dl", {}, ...rows.flatMap(([key, value]) => [make("dt", {}, key), make("dd", {}, value)])));
  }

  async function factsOf({ layer, index }) {
    const data = await load(`layers/${layer.folder}`);
    const row = data.rows.find((one) => one[0] === index);
    const facts = Object.fromEntries(data.columns.map((key, i) => [key, row[i]]));
    return { ...facts, labels: facts.labels.map((label) => data.labels[label]) };
  }

  async function draw() {
    const wanted = asked();
    try {
      const { layers } = await load("search");
      const known = new Map(), unknown = [];
      for (const text of wanted) {
        const unit = unitOf(text, layers);
        if (unit) known.set(nameOf(unit), unit);
        else unknown.push(text.slice(0, 60));
      }
      const units = [...known.values()].slice(0, MOST);
      const columns = await Promise.all(units.map(async (unit) => column(
        unit, units, await load(`pictures/${unit.layer.folder}`), await factsOf(unit))));
      if (String(wanted) !== String(asked())) return units; // another address came in between
      box.replaceChildren(...columns);
      box.hidden = !columns.length;
      status.textContent = [
        unknown.length ? `Not in this atlas: ${unknown.join(", ")}.` : "",
        known.size > MOST ? `Only the first ${MOST} are shown.` : "",
        units.length === 1 ? "Add another to compare it with." : "",
        wanted.length ? "" : "Write a layer and a number: 4c 447 or mixed4c:447.",
      ].filter(Boolean).join(" ");
      document.title = units.length ? `${[...known.keys()].slice(0, MOST).join(", ")} · ${title}` : title;
      zoomable();
      return units;
    } catch (error) {
      status.textContent = `Cannot compare: ${error.message}`;
      return [];
    }
  }

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const field = form.elements.namedItem("unit");
    const { layers } = await load("search");
    const units = asked().map((text) => unitOf(text, layers)).filter(Boolean);
    const more = field.value.split(",").filter((text) => text.trim());
    const found = more.map((text) => unitOf(text, layers));
    const wrong = more.filter((_, i) => !found[i]);
    if (wrong.length) status.textContent = `Not in this atlas: ${wrong.join(", ").slice(0, 120)}.`;
    else if (units.length + found.length > MOST) status.textContent = `At most ${MOST}: remove one first.`;
    else if (found.length) {
      field.value = "";
      go([...units, ...found]);
    }
  });
  addEventListener("hashchange", draw);
  draw();
})();
