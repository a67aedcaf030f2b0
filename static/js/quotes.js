// A passage of a rendered text as a quotation: the words, and which of their occurrences. Markup may change, they stay.

// The passage under `range`, which lies in `root`; null where it holds no words.
export function quoteOf(root, range) {
  const before = new Range();
  before.setStart(root, 0);
  before.setEnd(range.startContainer, range.startOffset);
  const raw = range.toString();
  const quote = raw.trim();
  if (!quote) return null;
  const at = before.toString().length + raw.indexOf(quote);
  return { quote, nth: starts(root.textContent, quote).indexOf(at) };
}

// The passage as a Range of `root`; null where the text does not hold it (any more).
export function rangeOf(root, quote, nth) {
  const start = starts(root.textContent, quote)[nth];
  if (start === undefined) return null;
  const range = new Range();
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  let passed = 0;
  let begun = false;
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const end = passed + node.data.length;
    if (!begun && start < end) {
      range.setStart(node, start - passed);
      begun = true;
    }
    if (begun && start + quote.length <= end) {
      range.setEnd(node, start + quote.length - passed);
      return range;
    }
    passed = end;
  }
  return null;
}

// Draws ranges over the text; without the Custom Highlight API the quotations beside it must do.
export function highlight(name, ranges) {
  if (typeof Highlight !== "function" || !CSS.highlights) return;
  CSS.highlights.set(name, new Highlight(...ranges.filter(Boolean)));
}

function starts(text, quote) {
  const found = [];
  for (let at = text.indexOf(quote); at >= 0; at = text.indexOf(quote, at + 1)) found.push(at);
  return found;
}
