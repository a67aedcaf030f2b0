// What a person likes on this machine: kept in localStorage, shown in the sheet, applied as classes of <html>.
const root = document.documentElement;

export const setting = (name, value) => (value === undefined ? localStorage.getItem(`chosen.${name}`) : localStorage.setItem(`chosen.${name}`, value));
export const isOn = (name) => document.querySelector(`[data-setting=${name}]`).checked;

function apply() {
  for (const step of [1, 2]) root.classList.toggle(`size-${step}`, Number(setting("size")) === step);
  for (const hand of ["left", "right"]) root.classList.toggle(`hand-${hand}`, setting("hand") === hand);
}

export function nextSize() {
  setting("size", String((Number(setting("size")) + 1) % 3));
  apply();
}

export function toggle(name) {
  document.querySelector(`[data-setting=${name}]`).click();
}

export function wireSettings(onChange) {
  for (const input of document.querySelectorAll("[data-setting]")) {
    const name = input.dataset.setting;
    const isRadio = input.type === "radio";
    const kept = setting(name);
    if (kept !== null) input.checked = isRadio ? kept === input.value : kept === "1";
    input.addEventListener("change", () => {
      setting(name, isRadio ? input.value : input.checked ? "1" : "0");
      apply();
      onChange();
    });
  }
  apply();
}
