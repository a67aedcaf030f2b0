// The sentences of a rendered text as Ranges, in the order of reading; longer ones in pieces of `most` characters.
const BLOCKS = "p, li, td, th, dt, dd, h1, h2, h3, h4, h5, h6, pre, blockquote, .text";
const segmenter = typeof Intl.Segmenter === "function" ? new Intl.Segmenter("zh", { granularity: "sentence" }) : null;
const SENTENCE = /.+?(?:[.!?…]+["'”’)]*(?=\s|$)|[。！？]+[”’」』）]*|$)/gsu;

export function sentencesIn(root, most) {
  // A piece ends between two words where it can.
  const piece = new RegExp(`\\S.{0,${most - 1}}(?!\\S)|\\S.{0,${most - 1}}`, "gsu");
  return runsIn(root).flatMap((nodes) => {
    const text = nodes.map(({ data }) => data).join("");
    // A line that ends in a paragraph ends no sentence.
    const read = nodes[0].parentElement.closest("pre") ? text : text.replaceAll("\n", " ");
    return split(read).flatMap(([sentence, at]) =>
      [...sentence.matchAll(piece)].map((found) => rangeIn(nodes, at + found.index, found[0].trimEnd().length)),
    );
  });
}

const split = (text) =>
  segmenter
    ? [...segmenter.segment(text)].map(({ segment, index }) => [segment, index])
    : [...text.matchAll(SENTENCE)].map((found) => [found[0], found.index]);

// The text nodes that follow each other in one block.
function runsIn(root) {
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  const runs = [];
  let block = null;
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const own = node.parentElement.closest(BLOCKS);
    if (own !== block) runs.push([]);
    block = own;
    runs.at(-1).push(node);
  }
  return runs;
}

function rangeIn(nodes, start, length) {
  const range = new Range();
  let passed = 0;
  for (const node of nodes) {
    const [from, to] = [start - passed, start + length - passed];
    passed += node.data.length;
    if (from >= 0 && from < node.data.length) range.setStart(node, from);
    if (to > 0 && to <= node.data.length) range.setEnd(node, to);
  }
  return range;
}
