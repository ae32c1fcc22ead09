// Pictures enlarge in a dialog that the Back button closes.
"use strict";
(() => {
  const { make, dialog } = atlas;
  const pictures = () => [...document.querySelectorAll("main img.s")].filter((one) => !one.closest("a"));
  const groupOf = (picture) => picture.closest(".hero, .unit") ?? picture.closest("ul, ol, figure, main");
  let open = null;

  // A page has some eighty pictures: the first of each group is a stop of the Tab key, and the
  // arrow keys lead from there to the others.
  atlas.zoomable = () => {
    const groups = new Set();
    for (const picture of pictures()) {
      const group = groupOf(picture), first = !groups.has(group);
      groups.add(group);
      picture.setAttribute("role", "button");
      picture.setAttribute("aria-haspopup", "dialog");
      picture.tabIndex = first ? 0 : -1;
    }
  };

  // What is said of this picture alone: a photograph's label and number, a render's caption.
  function captionOf(picture) {
    const one = picture.closest("li, figure"), caption = one?.querySelector("figcaption") ?? one;
    if (!one || one.querySelectorAll("img").length > 1 || !caption.innerText.trim()) return [picture.alt];
    const parts = [...caption.cloneNode(true).childNodes].filter((part) => part.tagName !== "IMG");
    const source = one.matches("li") && one.querySelector("[title]");
    return source ? [...parts, " ", make("small", {}, source.title)] : parts;
  }

  function show(number) {
    const all = pictures(), picture = all[number];
    if (!picture) return;
    const group = all.filter((one) => groupOf(one) === groupOf(picture));
    const image = picture.cloneNode();
    for (const name of ["role", "tabindex", "aria-haspopup", "loading"]) image.removeAttribute(name);
    image.style.setProperty("--most", `${4 * picture.getAttribute("width")}px`);
    const button = (label, text, action) => {
      const made = make("button", { type: "button", "aria-label": label }, text);
      made.addEventListener("click", action);
      return made;
    };
    const close = button("Close", "Close", () => history.back());
    const step = (by) => {
      const next = all.indexOf(group.at((group.indexOf(picture) + by) % group.length));
      history.replaceState({ zoom: next }, "");
      show(next);
    };
    const parts = [make("figure", {}, image, make("figcaption", { dir: "auto" }, ...captionOf(picture)))];
    if (group.length > 1) parts.push(button("Previous", "←", () => step(-1)), close, button("Next", "→", () => step(1)));
    else parts.push(close);
    if (open) open.box.firstChild.replaceChildren(...parts);
    else {
      const box = dialog("zoom", "Enlarged picture", ...parts);
      open = { box };
      box.addEventListener("keydown", (event) => {
        const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
        if (by) open.step(by);
      });
      box.addEventListener("close", () => {
        const { picture: last } = open;
        open = null;
        last.focus({ preventScroll: true });
        if (history.state?.zoom !== undefined) history.back();
      });
    }
    Object.assign(open, { step, picture });
    close.focus();
  }

  function clicked(event) {
    const picture = event.target.closest?.("main img[role=button]");
    if (!picture) return;
    const number = pictures().indexOf(picture);
    history.pushState({ zoom: number }, "");
    show(number);
  }

  document.addEventListener("click", clicked);
  document.addEventListener("keydown", (event) => {
    if ((event.key === "Enter" || event.key === " ") && event.target.matches?.("main img[role=button]")) {
      event.preventDefault();
      clicked(event);
    }
  });
  addEventListener("popstate", (event) => {
    if (event.state?.zoom !== undefined) show(event.state.zoom);
    else open?.box.close();
  });
  // After a reload nothing is enlarged any more.
  if (history.state?.zoom !== undefined) history.replaceState(null, "");
  atlas.zoomable();
})();
