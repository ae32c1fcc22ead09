// Pictures enlarge in a dialog that the Back button closes.
"use strict";
(() => {
  const { make, dialog } = atlas;
  const pictures = () => [...document.querySelectorAll("main img.s")].filter((one) => !one.closest("a"));
  const groupOf = (picture) => picture.closest("ul, ol, .hero, .unit, figure") || picture.closest("main");
  const words = (element) => {
    const copy = element.cloneNode(true);
    copy.querySelectorAll("[aria-hidden], img").forEach((part) => part.remove());
    return copy.textContent.replace(/\s+/g, " ").trim();
  };
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

  // A photograph's label and number, or a render's caption; where one caption is for several
  // pictures, what this one is comes first.
  function captionOf(picture) {
    const item = picture.closest("li"), figure = picture.closest("figure");
    if (item?.querySelectorAll("img").length === 1 && words(item)) {
      return [words(item), item.querySelector("[title]")?.title ?? ""];
    }
    const caption = figure && !item && figure.querySelector("figcaption");
    if (!caption) return [picture.alt, ""];
    return figure.querySelectorAll("img").length === 1 ? [words(caption), ""] : [picture.alt, words(caption)];
  }

  function show(number) {
    const all = pictures(), picture = all[number];
    if (!picture) return;
    const group = all.filter((one) => groupOf(one) === groupOf(picture));
    const [title, detail] = captionOf(picture);
    const image = make("img", {
      class: picture.className, src: picture.getAttribute("src"), alt: picture.alt,
      width: picture.getAttribute("width"), height: picture.getAttribute("height"),
    });
    image.style.setProperty("--most", `${4 * Number(picture.getAttribute("width"))}px`);
    const button = (label, text, action, off) => {
      const made = make("button", { type: "button", "aria-label": label, disabled: off ? "" : undefined }, text);
      made.addEventListener("click", action);
      return made;
    };
    const close = button("Close", "×", () => history.back());
    const at = group.indexOf(picture);
    const step = (by) => {
      const next = group[at + by];
      if (!next) return;
      history.replaceState({ zoom: all.indexOf(next) }, "");
      show(all.indexOf(next));
    };
    const caption = make("figcaption", { dir: "auto" }, make("b", {}, title), " ", detail);
    const parts = [make("figure", {}, image, caption), close];
    if (group.length > 1) {
      parts.push(button("Previous", "←", () => step(-1), at === 0),
        button("Next", "→", () => step(1), at === group.length - 1));
    }
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
