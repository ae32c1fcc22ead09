// Channels side by side; which ones is in the address: compare.html#mixed4c:447,mixed4a:97.
"use strict";
(() => {
  const { load, make, tile, measured, unitOf, zoomable } = atlas;
  const MOST = 6;
  const box = document.getElementById("compare"), form = document.getElementById("add");
  const field = form.elements.namedItem("unit"), status = form.querySelector(".found");
  const title = document.title;
  const kinds = { p: "Positive", d: "Diverse", u: "Neuron", n: "Negative" };
  const stats = {
    max: ["maximum"], mean: ["mean"], fires: ["fires in", "%"], share: ["share of best", "×"],
    selectivity: ["selectivity", "σ"],
  };
  const nameOf = ({ layer, index }) => `${layer.folder}:${index}`;

  function asked() {
    return location.hash.slice(1).split(",").map((part) => {
      try {
        return decodeURIComponent(part).trim();
      } catch (_) {
        return part; // a stray % sign
      }
    }).filter(Boolean);
  }

  function go(units) {
    location.hash = units.map(nameOf).join(",");
  }

  // Renders and photographs are rows of [sheet, tiles, size, places, …].
  const pictures = (row, paths, alts) => row[3].map((place, i) =>
    tile([paths[0] + row[0] + paths[1], row[1], row[2]], place, alts(i)));

  function figure(unit, row, paths, [letter, kind]) {
    const at = [...row[4]].flatMap((one, i) => one === letter ? [i] : []);
    if (!at.length) return make("p", { class: "none" }, `No ${kind.toLowerCase()} image.`);
    const scores = at.map((i) => row[5][i]).filter((score) => score !== null).sort((a, b) => a - b);
    const range = new Set([scores[0], scores.at(-1)].map((score) => measured(score ?? null)));
    const shown = pictures(row, paths, () => `${nameOf(unit)}, ${kind.toLowerCase()}`);
    const sign = make("span", { class: `sign ${letter === "n" ? "neg" : "pos"}`, "aria-hidden": "true" },
      letter === "n" ? "−" : "+");
    return make("figure", {},
      make("div", { class: at.length > 1 ? "four" : "one" }, ...at.map((i) => shown[i])),
      make("figcaption", {}, sign, " ", make("b", {}, kind), " ",
        scores.length ? [...range].join(" to ") : "failed"));
  }

  function photographs(unit, row, data) {
    if (!row[3].length) return make("p", { class: "none" }, "No photographs.");
    const labels = row[4].map((label) => data.labels[label]);
    const shown = pictures(row, data.paths.photographs, (i) => `${nameOf(unit)} high: ${labels[i]}`);
    return make("ul", { class: "photos" }, ...shown.map((picture, i) =>
      make("li", {}, picture, make("bdi", {}, labels[i]), " ", make("b", {}, measured(row[5][i])))));
  }

  function column(unit, units, data) {
    const { layer, index } = unit;
    const [renders, photos, labels, values] = data.rows[index];
    const name = `${layer.name}:${index}`;
    const remove = make("button", { type: "button", "aria-label": `Remove ${name}` }, "×");
    remove.addEventListener("click", () => {
      go(units.filter((one) => one !== unit));
      field.focus();
    });
    return make("section", { class: "unit", "aria-label": name },
      make("h2", {}, make("a", { href: `${layer.folder}/${index}.html` }, name), remove),
      ...Object.entries(kinds).map((kind) => figure(unit, renders, data.paths.renders, kind)),
      photographs(unit, photos, data),
      make("p", { class: "labels", dir: "auto" }, labels.map((label) => data.labels[label]).join(", ")),
      make("dl", {}, ...data.stats.flatMap((key, i) => [
        make("dt", {}, stats[key][0]), make("dd", {}, measured(values[i], stats[key][1]))])));
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
      const columns = await Promise.all(units.map(async (unit) =>
        column(unit, units, await load(`pictures/${unit.layer.folder}`))));
      if (String(wanted) !== String(asked())) return; // another address came in between
      box.replaceChildren(...columns);
      box.hidden = !columns.length;
      status.textContent = [
        unknown.length ? `Not in this atlas: ${unknown.join(", ")}.` : "",
        known.size > MOST ? `Only the first ${MOST} are shown.` : "",
        units.length === 1 ? "Add another to compare it with." : "",
        wanted.length ? "" : "Write a layer and a number: 4c 447 or mixed4c:447.",
      ].filter(Boolean).join(" ");
      document.title = [...units.map(nameOf), title].join(" · ");
      zoomable();
    } catch (error) {
      status.textContent = `Cannot compare: ${error.message}`;
    }
  }

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
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
