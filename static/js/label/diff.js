// Differences between the two texts, drawn over them with the CSS Custom Highlight API: the markup stays as it is.
const MAX_TOKENS = 6000;
const MAX_EDITS = 3000;
const TOKEN = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}]|[\p{L}\p{N}_]+|[^\s\p{L}\p{N}_]/gu;

export const canDiff = () => typeof Highlight === "function" && Boolean(CSS.highlights);

function tokensOf(root) {
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  const tokens = [];
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    for (const match of node.data.matchAll(TOKEN)) {
      tokens.push({ text: match[0], node, start: match.index, end: match.index + match[0].length });
      if (tokens.length > MAX_TOKENS) return null;
    }
  }
  return tokens;
}

// Myers' O(ND) algorithm. Returns the tokens on each side that are not in the longest common subsequence.
export function changed(left, right) {
  const max = Math.min(left.length + right.length, MAX_EDITS);
  const trace = [];
  let frontier = new Map([[1, 0]]);
  for (let d = 0; d <= max; d += 1) {
    const next = new Map(frontier);
    for (let k = -d; k <= d; k += 2) {
      const down = k === -d || (k !== d && (frontier.get(k - 1) ?? -1) < (frontier.get(k + 1) ?? -1));
      let x = down ? frontier.get(k + 1) ?? 0 : (frontier.get(k - 1) ?? 0) + 1;
      while (x < left.length && x - k < right.length && left[x].text === right[x - k].text) x += 1;
      next.set(k, x);
      if (x >= left.length && x - k >= right.length) return walkBack(trace, frontier, left, right, d);
    }
    trace.push(frontier);
    frontier = next;
  }
  return [left, right];
}

function walkBack(trace, last, left, right, edits) {
  const removed = [];
  const added = [];
  let x = left.length;
  let y = right.length;
  for (let d = edits; d > 0; d -= 1) {
    const frontier = d === edits ? last : trace[d];
    const k = x - y;
    const down = k === -d || (k !== d && (frontier.get(k - 1) ?? -1) < (frontier.get(k + 1) ?? -1));
    const fromK = down ? k + 1 : k - 1;
    const fromX = frontier.get(fromK) ?? 0;
    const fromY = fromX - fromK;
    if (down) added.push(right[fromY]);
    else removed.push(left[fromX]);
    x = fromX;
    y = fromY;
  }
  return [removed, added];
}

const ranges = (tokens) =>
  tokens.filter(Boolean).map(({ node, start, end }) => {
    const range = new Range();
    range.setStart(node, start);
    range.setEnd(node, end);
    return range;
  });

export function clearDiff() {
  if (!canDiff()) return;
  CSS.highlights.delete("diff-a");
  CSS.highlights.delete("diff-b");
}

// False where the texts are too long to compare.
export function showDiff(leftRoot, rightRoot) {
  const left = tokensOf(leftRoot);
  const right = tokensOf(rightRoot);
  if (!left || !right) return false;
  const [removed, added] = changed(left, right);
  CSS.highlights.set("diff-a", new Highlight(...ranges(removed)));
  CSS.highlights.set("diff-b", new Highlight(...ranges(added)));
  return true;
}
