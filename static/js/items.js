// The list of comparisons: one box ticks the page, and ticking says how many are chosen.
const boxes = () => [...document.querySelectorAll('input[name="id"][form="bulk"]')];

function show() {
  const all = document.querySelector("[data-tick-all]");
  if (!all) return;
  const ticked = boxes().filter((box) => box.checked).length;
  all.checked = ticked > 0 && ticked === boxes().length;
  all.indeterminate = ticked > 0 && !all.checked;
  const chosen = document.querySelector('#bulk-scope option[value="chosen"]');
  chosen.dataset.name ??= chosen.textContent;
  chosen.textContent = `${chosen.dataset.name} (${ticked})`;
}

document.addEventListener("change", (event) => {
  if (event.target.matches("[data-tick-all]")) {
    for (const box of boxes()) box.checked = event.target.checked;
  }
  if (event.target.matches('[data-tick-all], input[name="id"]')) show();
});
document.addEventListener("htmx:afterSwap", show);
window.addEventListener("pageshow", show);
