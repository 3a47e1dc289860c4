// Shows every slide in turn; resolves to what does not fit there, in words. Its argument: whether the page may scroll.
const mayScroll = arguments[0];
const name = (element) => element.textContent.trim().slice(0, 40);
const rounding = 0.5; // px
const within = (inner, outer) => inner.left >= outer.left - rounding && inner.right <= outer.right + rounding
  && inner.top >= outer.top - rounding && inner.bottom <= outer.bottom + rounding;
// A line's box is higher than its letters: by a sixth, above and below.
const letters = (rect) => new DOMRect(rect.x, rect.y + rect.height / 6, rect.width, rect.height * 2 / 3);
const overlap = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
  && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1;
const inset = (rect, by) => new DOMRect(rect.x + by, rect.y + by, rect.width - 2 * by, rect.height - 2 * by);
const BOXES = ".card, .medium, .bridge, .ctr, .dev, .proc, .env, .ctl, .pill, .port";

function* onStage(slide) {
  const drawn = [...slide.querySelectorAll(".stage")].filter((svg) => svg.checkVisibility());
  if (drawn.length !== 1) {
    yield `${drawn.length} stages at once`;
    return;
  }
  const box = drawn[0].viewBox.baseVal;
  const { a, d, e, f } = drawn[0].getScreenCTM();
  const view = new DOMRect(a * box.x + e, d * box.y + f, a * box.width, d * box.height);
  if (!within(view, drawn[0].getBoundingClientRect())) yield "the drawing is larger than its svg";
  if (!within(view, slide.querySelector(".stagebox").getBoundingClientRect())) yield "the stage is cut off";
  const texts = [...drawn[0].querySelectorAll("text")]
    .map((text) => [name(text), letters(text.getBoundingClientRect())]);
  const boxes = [...drawn[0].querySelectorAll(BOXES)].map((shape) => shape.getBoundingClientRect())
    .sort((one, other) => one.width * one.height - other.width * other.height);
  for (const [k, [text, rect]] of texts.entries()) {
    if (!within(rect, view)) yield `text cut off: ${text}`;
    const smallest = boxes.find((shape) => overlap(rect, shape));
    if (smallest && !within(rect, inset(smallest, 1))) yield `over the edge of its box: ${text}`;
    for (const [other, otherRect] of texts.slice(k + 1)) {
      if (overlap(rect, otherRect)) yield `over each other: ${text} | ${other}`;
    }
  }
}

function lines(text) {
  const range = new Range();
  range.selectNodeContents(text);
  return new Set([...range.getClientRects()].map((rect) => Math.round(rect.bottom))).size;
}

function* onOneScreen(slide) {
  const root = document.scrollingElement;
  const room = document.querySelector("main").getBoundingClientRect();
  if (root.scrollHeight > root.clientHeight) yield "the page scrolls";
  for (const part of slide.querySelectorAll(".text, .stagebox, .insp, .insp footer, .factbox")) {
    if (!within(part.getBoundingClientRect(), room)) yield `no room for ${part.className || part.localName}`;
  }
  const key = slide.querySelector(".row.key");
  if (key && !within(key.getBoundingClientRect(), key.closest(".fields").getBoundingClientRect())) {
    yield "the key field is out of sight";
  }
  for (const [selector, most] of [["h2.claim", 1], [".text + .caption", 2]]) {
    const text = slide.querySelector(selector);
    if (text && lines(text) > most) yield `${lines(text)} lines: ${name(text)}`;
  }
}

// Between the two buttons, and on the screen.
function* onRail() {
  const [rail, prev, next] = [".rail", "#prev", "#next"]
    .map((selector) => document.querySelector(selector).getBoundingClientRect());
  const room = new DOMRect(prev.right, rail.y, next.left - prev.right, rail.height);
  if (!within(rail, new DOMRect(0, 0, innerWidth, innerHeight))) yield "the rail leaves the screen";
  const marks = [...document.querySelectorAll(".st i, .kn")].filter((mark) => mark.checkVisibility());
  if (!marks.length) yield "the rail does not say where we are";
  const outside = marks.filter((mark) => !within(mark.getBoundingClientRect(), room));
  if (outside.length) yield `${outside.length} of ${marks.length} marks are outside of the rail`;
}

function* misfits(slide) {
  yield* onRail();
  if (slide.querySelector(".stage")) yield* onStage(slide);
  for (const box of [document.scrollingElement, ...slide.querySelectorAll(".fields, .factbox")]) {
    if (box.scrollWidth > box.clientWidth) yield `${box.localName} scrolls sideways`;
  }
  if (!mayScroll) yield* onOneScreen(slide);
}

function shown(slide) {
  if (location.hash === `#${slide.id}`) return null;
  return new Promise((done) => {
    addEventListener("hashchange", done, { once: true });
    location.hash = slide.id;
  });
}

return (async () => {
  const found = [];
  for (const slide of document.querySelectorAll(".slide")) {
    await shown(slide);
    found.push(...[...misfits(slide)].map((what) => `${slide.id}: ${what}`));
  }
  return found;
})();
