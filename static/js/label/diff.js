// Differences between the two texts, drawn over them with the CSS Custom Highlight API: the markup stays as it is.
import { reveal } from "./scroll.js";

const MAX_EDITS = 3000;
// Words, Chinese ones too, where the browser knows them; else Han characters one by one. No spaces.
const segmenter = typeof Intl.Segmenter === "function" ? new Intl.Segmenter("zh", { granularity: "word" }) : null;
const TOKEN = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}]|[\p{L}\p{N}_]+|[^\s\p{L}\p{N}_]/gu;
const SENTENCE_END = /^[.!?…。！？]$/;

// The tokens of one run of text as {text, start, end}.
export function tokensOf(data) {
  const found = segmenter
    ? [...segmenter.segment(data)].map(({ segment, index }) => [segment, index])
    : [...data.matchAll(TOKEN)].map((match) => [match[0], match.index]);
  return found.filter(([text]) => text.trim()).map(([text, start]) => ({ text, start, end: start + text.length }));
}

export const canDiff = () => typeof Highlight === "function" && Boolean(CSS.highlights);

function tokensIn(root) {
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  const tokens = [];
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    for (const token of tokensOf(node.data)) tokens.push({ ...token, node });
  }
  return tokens;
}

// The sentences that tokens make, as {text, tokens}; each ends with its text node at the latest.
function sentencesOf(tokens) {
  const sentences = [];
  let last = null;
  for (const token of tokens) {
    if (!last || last.node !== token.node || SENTENCE_END.test(last.text)) sentences.push({ text: "", tokens: [] });
    const sentence = sentences.at(-1);
    sentence.text += `${token.text} `;
    sentence.tokens.push(token);
    last = token;
  }
  return sentences;
}

// The tokens on each side that are not in the longest common subsequence of what is left between an equal beginning and
// an equal end. Texts further apart than `maxEdits` differ by sentences, and if those are too many, as a whole.
export function changed(left, right, maxEdits = MAX_EDITS) {
  const [from, to] = between(left, right);
  const found = edits(from, to, maxEdits);
  if (found) return found;
  const sentences = edits(sentencesOf(from), sentencesOf(to), maxEdits);
  return sentences ? sentences.map((side) => side.flatMap(({ tokens }) => tokens)) : [from, to];
}

function between(left, right) {
  const shorter = Math.min(left.length, right.length);
  let first = 0;
  while (first < shorter && left[first].text === right[first].text) first += 1;
  let last = 0;
  while (last < shorter - first && left.at(-1 - last).text === right.at(-1 - last).text) last += 1;
  return [left.slice(first, left.length - last), right.slice(first, right.length - last)];
}

// What of each side is not in the longest common subsequence, by Myers' O(ND) algorithm; null beyond `maxEdits`.
function edits(from, to, maxEdits) {
  const frontiers = frontiersOf(from, to, Math.min(from.length + to.length, maxEdits));
  return frontiers && walkBack(frontiers, from, to);
}

// frontiers[d][k + d] is how far along `from` d edits lead on diagonal k; null where maxEdits are too few.
function frontiersOf(from, to, maxEdits) {
  const frontiers = [];
  for (let d = 0; d <= maxEdits; d += 1) {
    const frontier = new Int32Array(2 * d + 1);
    frontiers.push(frontier);
    for (let k = -d; k <= d; k += 2) {
      let x = d ? stepTo(frontiers[d - 1], d, k)[0] : 0;
      while (x < from.length && x - k < to.length && from[x].text === to[x - k].text) x += 1;
      frontier[k + d] = x;
      if (x >= from.length && x - k >= to.length) return frontiers;
    }
  }
  return null;
}

// The d-th edit that leads furthest to diagonal k: [x after it, whether it added a token of `to`].
function stepTo(before, d, k) {
  const reach = (diagonal) => (Math.abs(diagonal) < d ? before[diagonal + d - 1] : -1);
  const [added, removed] = [reach(k + 1), reach(k - 1) + 1];
  return k === -d || (k !== d && removed - 1 < added) ? [added, true] : [removed, false];
}

function walkBack(frontiers, from, to) {
  const [removed, added] = [[], []];
  let k = from.length - to.length;
  for (let d = frontiers.length - 1; d > 0; d -= 1) {
    const [x, isAdded] = stepTo(frontiers[d - 1], d, k);
    if (isAdded) added.unshift(to[x - k - 1]);
    else removed.unshift(from[x - 1]);
    k += isAdded ? 1 : -1;
  }
  return [removed, added];
}

function highlight(name, tokens) {
  const ranges = new Highlight();
  for (const { node, start, end } of tokens) {
    const range = new Range();
    range.setStart(node, start);
    range.setEnd(node, end);
    ranges.add(range);
  }
  CSS.highlights.set(name, ranges);
}

export function clearDiff() {
  if (!canDiff()) return;
  CSS.highlights.delete("diff-a");
  CSS.highlights.delete("diff-b");
}

export function showDiff(leftRoot, rightRoot) {
  const [removed, added] = changed(tokensIn(leftRoot), tokensIn(rightRoot));
  highlight("diff-a", removed);
  highlight("diff-b", added);
}

// Shows the differences of a pair, and the first of them, or hides them. The pair's own buttons say which.
export function toggleDiff(pair) {
  const buttons = pair ? [...pair.querySelectorAll("[data-tool=diff]")] : [];
  if (!buttons.length || !canDiff()) return;
  const on = buttons[0].getAttribute("aria-pressed") !== "true";
  if (on) {
    showDiff(...pair.querySelectorAll(".text"));
    reveal(firstChange());
  } else clearDiff();
  for (const button of buttons) button.setAttribute("aria-pressed", String(on));
}

const topOf = (range) => range.getBoundingClientRect().top;

function firstChange() {
  const firsts = ["diff-a", "diff-b"].map((name) => [...CSS.highlights.get(name)][0]).filter(Boolean);
  return firsts.sort((one, other) => topOf(one) - topOf(other))[0];
}

// The buttons of a page that shows one pair.
export function wireDiff() {
  const toggle = () => toggleDiff(document.querySelector(".pair"));
  for (const button of document.querySelectorAll("[data-tool=diff]")) {
    button.hidden = !canDiff();
    button.addEventListener("click", toggle);
  }
  return toggle;
}
