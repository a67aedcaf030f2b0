// When a labeler must say why: the same rule as labeling/submission.py, which has the last word.
// An answer is {choice, aspects: {key: value}}; the rules are what the page's data-rules holds of the scheme.
const STRONG_ENDS_FROM = 4; // a bar of two steps tells no strength

function sideOf(value, steps) {
  if (value === "left" || value === "right") return value;
  if (!/^[0-9]+$/.test(value)) return null;
  return Number(value) <= steps / 2 ? "left" : "right";
}

export function whyCases({ choice, aspects }, rules) {
  const cases = choice === "tie" || choice === "both_bad" ? [choice] : [];
  const isEnd = choice === "1" || choice === String(rules.steps);
  if (isEnd && rules.steps >= STRONG_ENDS_FROM) cases.push("strong");
  const side = sideOf(choice, rules.steps);
  const sides = Object.entries(aspects).map(([key, value]) => sideOf(value, rules.aspects[key])).filter(Boolean);
  if (side && sides.length && !sides.includes(side)) cases.push("contradiction");
  return cases;
}

export function mustSayWhy(answer, rules) {
  if (answer.choice === "skip") return [];
  const asked = whyCases(answer, rules).some((name) => rules.when.includes(name));
  return ["rationale", "reasons"].filter((name) => rules[name] === "required" || (rules[name] === "when" && asked));
}
