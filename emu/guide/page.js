"use strict";
(() => {
  const root = document.documentElement;
  const slides = [...document.querySelectorAll(".slide")];
  const stops = [...document.querySelectorAll(".st")];
  const prev = document.getElementById("prev");
  const next = document.getElementById("next");
  const say = document.getElementById("say");
  const title = document.title;
  const SWIPE = 56; // px
  let at = 0;

  const theme = new URLSearchParams(location.search).get("theme");
  if (theme === "dark" || theme === "light") root.dataset.theme = theme;
  root.classList.add("js");

  // A link names a slide; one that names a chapter only leads to its first slide, an unknown one to the cover.
  function named() {
    const id = location.hash.slice(1);
    const exact = slides.findIndex((slide) => slide.id === id);
    return exact >= 0 ? exact : Math.max(0, slides.findIndex((slide) => id && slide.id.startsWith(id + "/")));
  }

  // Scrolls the envelope, never the page, until the field that the slide is about can be seen.
  function reveal(row) {
    if (!row) return;
    const box = row.closest(".fields");
    box.scrollTop = row.offsetTop + row.offsetHeight - box.clientHeight;
  }

  // Where a chapter has more dots than there is room for, the rail says in words where we are.
  function crowd() {
    for (const li of document.querySelectorAll(".rail li")) {
      const dots = [...li.querySelectorAll(".st")];
      const k = dots.indexOf(stops[at]) + 1;
      li.classList.remove("crowded");
      const row = li.querySelector(".sts");
      li.classList.toggle("crowded", row.scrollWidth > row.clientWidth);
      li.querySelector(".kn").textContent = k ? `${k} of ${dots.length}` : `${dots.length} steps`;
    }
  }

  function show(index) {
    at = index;
    slides.forEach((slide, k) => slide.classList.toggle("cur", k === at));
    stops.forEach((stop, k) => {
      stop.classList.toggle("cur", k === at);
      stop.classList.toggle("past", k < at);
      stop.toggleAttribute("aria-current", false);
    });
    stops[at].setAttribute("aria-current", "step");
    document.querySelectorAll(".rail li").forEach((li) => li.classList.toggle("on", li.contains(stops[at])));
    crowd();
    prev.disabled = at === 0;
    next.disabled = at === slides.length - 1;
    reveal(slides[at].querySelector(".row.key"));
    document.title = at ? slides[at].querySelector(".claim").textContent + " · " + title : title;
  }

  function go(index) {
    if (index < 0 || index >= slides.length || index === at) return;
    location.hash = slides[index].id;
  }

  const rows = () => [...slides[at].querySelectorAll(".row")].filter((row) => row.offsetParent);

  // Colours the bytes of a field in the hex dump (laid out by hex_dump in inspector.py), where the browser knows how.
  function mark(row) {
    if (!window.Highlight) return;
    const text = slides[at].querySelector(".dump pre").firstChild;
    const [start, size] = [Number(row.dataset.start), Number(row.dataset.size)];
    const line = text.data.indexOf("\n") + 1 || text.data.length;
    const ranges = Array.from({ length: size }, (_, k) => {
      const from = Math.floor((start + k) / 8) * line + 6 + 3 * ((start + k) % 8);
      const range = new Range();
      range.setStart(text, from);
      range.setEnd(text, from + 2);
      return range;
    });
    CSS.highlights.set("field", new Highlight(...ranges));
  }

  function pick(row) {
    const slide = slides[at];
    slide.querySelectorAll(".row").forEach((other) => other.toggleAttribute("aria-current", false));
    slide.querySelectorAll(".s").forEach((part) => part.classList.toggle("hit", part.dataset.seg === row.dataset.seg));
    row.setAttribute("aria-current", "true");
    const [name, bytes] = [document.createElement("b"), document.createElement("code")];
    name.textContent = row.querySelector(".k").textContent + " ";
    bytes.textContent = row.dataset.hex;
    slide.querySelector(".explain").replaceChildren(name, row.title + " ", bytes);
    slide.querySelector(".insp").classList.add("picked");
    mark(row);
  }

  function enter(row) {
    if (!row) return;
    row.focus();
    pick(row);
  }

  function leave() {
    const inspector = slides[at].querySelector(".insp.picked");
    if (document.activeElement) document.activeElement.blur();
    if (!inspector) return;
    inspector.classList.remove("picked");
    inspector.querySelector(".explain").replaceChildren();
    slides[at].querySelectorAll(".row,.s").forEach((e) => { e.toggleAttribute("aria-current", false); e.classList.remove("hit"); });
    if (window.Highlight) CSS.highlights.delete("field");
  }

  function showFields(all) {
    root.classList.toggle("full", all);
    document.querySelectorAll(".all").forEach((box) => { box.checked = all; });
  }

  function toggleTheme() {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme:dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
  }

  const among = (distance) => {
    const all = rows();
    enter(all[all.indexOf(document.activeElement) + distance]);
  };
  const keys = {
    ArrowRight: () => go(at + 1), PageDown: () => go(at + 1), ArrowLeft: () => go(at - 1), PageUp: () => go(at - 1),
    Home: () => go(0), End: () => go(slides.length - 1),
    i: () => enter(rows().find((row) => row.matches(".key")) || rows()[0]), Escape: leave,
    f: () => showFields(!root.classList.contains("full")), t: toggleTheme,
  };
  const rowKeys = { ArrowDown: () => among(1), ArrowUp: () => among(-1) };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const onRow = document.activeElement && document.activeElement.matches(".row");
    const action = keys[event.key] || (onRow && rowKeys[event.key]);
    if (!action) return;
    event.preventDefault();
    action();
  });

  document.addEventListener("click", (event) => {
    const hit = (selector) => event.target.closest(selector);
    if (hit(".row")) pick(hit(".row"));
    else if (hit(".s")) enter(rows().find((row) => row.dataset.seg === hit(".s").dataset.seg));
    else if (hit(".tap")) { event.preventDefault(); keys.i(); }
  });

  document.addEventListener("change", (event) => {
    if (event.target.matches(".all")) showFields(event.target.checked);
  });

  let from = null;
  document.addEventListener("touchstart", (event) => {
    from = event.touches.length === 1 ? event.touches[0] : null;
  }, { passive: true });
  document.addEventListener("touchend", (event) => {
    if (!from) return;
    const dx = event.changedTouches[0].clientX - from.clientX;
    const dy = event.changedTouches[0].clientY - from.clientY;
    if (Math.abs(dx) > SWIPE && Math.abs(dx) > 2 * Math.abs(dy)) go(at + (dx < 0 ? 1 : -1));
    from = null;
  }, { passive: true });

  prev.onclick = () => go(at - 1);
  next.onclick = () => go(at + 1);
  document.getElementById("theme").onclick = toggleTheme;
  addEventListener("hashchange", () => {
    leave();
    show(named());
    scrollTo(0, 0);
    say.textContent = slides[at].getAttribute("aria-label");
  });
  addEventListener("resize", () => {
    crowd();
    reveal(slides[at].querySelector(".row.key"));
  });
  show(named());
})();
