// A comparison's page: the passages that people marked, drawn over the two texts, and their differences on request.
import { wireDiff } from "./label/diff.js";
import { highlight, rangeOf } from "./quotes.js";

for (const side of ["a", "b"]) {
  const text = document.querySelector(`.pair .${side} .prose`);
  const quotes = text ? [...document.querySelectorAll(`[data-quote][data-side=${side}]`)] : [];
  highlight(`mark-${side}`, quotes.map(({ dataset }) => rangeOf(text, dataset.quote, Number(dataset.nth))));
}

wireDiff();
