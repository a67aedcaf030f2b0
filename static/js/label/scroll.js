// Two long responses side by side: each scrolls in a pane of its own, and the other goes the same share of the way.
const TALL = 0.56; // of the window's height; label.css gives the panes the same
const isWide = matchMedia("(min-width: 721px)");
const wired = new WeakSet();
const led = new WeakMap(); // text -> where the other one has put it: its own scroll event leads nobody

const way = (text) => text.scrollHeight - text.clientHeight;

function follow(text, other) {
  if (Math.abs((led.get(text) ?? -9) - text.scrollTop) < 2) return;
  led.delete(text);
  other.scrollTop = (text.scrollTop / Math.max(1, way(text))) * way(other);
  led.set(other, other.scrollTop);
}

// Gives the texts of a pair their panes where that is wanted and both are long; else the page scrolls as a whole.
export function fitPanes(pair, wanted) {
  const texts = [...pair.querySelectorAll(".text")];
  pair.classList.remove("panes");
  const on = wanted && isWide.matches && texts.every((text) => text.scrollHeight > TALL * innerHeight);
  pair.classList.toggle("panes", on);
  for (const [number, text] of texts.entries()) {
    if (on) text.tabIndex = 0; // a pane can be reached by the keyboard
    else text.removeAttribute("tabindex");
    if (!on || wired.has(text)) continue;
    wired.add(text);
    text.addEventListener("scroll", () => pair.classList.contains("panes") && follow(text, texts[1 - number]), { passive: true });
  }
}

// False where there are no panes or they are at their end: then the page scrolls.
export function scrollPanes(pair, pages, lines) {
  const text = pair?.matches(".panes") && pair.querySelector(".text");
  if (!text) return false;
  const before = text.scrollTop;
  text.scrollTop += pages * text.clientHeight + lines * 60;
  return text.scrollTop !== before;
}

const HEAD = 64; // what sticks to the top of a response

// A passage comes a third of the way down, in its pane and in the window, unless it is seen already.
export function reveal(range) {
  if (!range) return;
  const pane = range.startContainer.parentElement.closest(".panes .text");
  if (pane) {
    const { top, bottom } = pane.getBoundingClientRect();
    pane.scrollTop += wayTo(range, top, bottom);
  }
  const dock = document.querySelector(".dock, .desk-dock")?.getBoundingClientRect().top ?? innerHeight;
  scrollBy({ top: wayTo(range, HEAD, Math.min(dock, innerHeight)) });
}

function wayTo(range, top, bottom) {
  const { top: start, bottom: end } = range.getBoundingClientRect();
  return start >= top && end <= bottom ? 0 : start - top - (bottom - top) / 3;
}
