// Small manners shared by every page: CSRF for htmx, menus that close, forms that ask first.
import { copyText } from "./copy.js";

const csrf = () => document.cookie.match(/(?:^|; )csrftoken=([^;]+)/)?.[1] ?? "";

document.addEventListener("htmx:configRequest", (event) => {
  event.detail.headers["X-CSRFToken"] = csrf();
});

// A panel whose session has ended answers with the log-in page: the whole page goes there instead.
document.addEventListener("htmx:beforeSwap", (event) => {
  if (event.detail.xhr.responseURL && new URL(event.detail.xhr.responseURL).pathname.startsWith("/account/login")) {
    event.detail.shouldSwap = false;
    window.location.reload();
  }
});

document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    for (const menu of document.querySelectorAll("details.menu[open]")) menu.open = false;
  }
});

document.addEventListener("submit", (event) => {
  const question = event.submitter?.dataset.confirm ?? event.target.dataset.confirm;
  if (question && !window.confirm(question)) event.preventDefault();
});

// Log-out waits until the server has what this browser keeps.
document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (!form.dataset.leaving) return;
  event.preventDefault();
  try {
    const { leave } = await import(form.dataset.leaving);
    await leave(form);
  } catch {
    form.submit(); // the module cannot be had: what is kept stays kept
  }
});

// A form is sent once: the second half of a double click would make a second run, invitation or token.
const RESEND_MS = 30_000;
// Heard at the window, after every module that sends its forms itself.
const sentAt = new WeakMap();
window.addEventListener("submit", (event) => {
  const form = event.target;
  if (event.defaultPrevented || form.method !== "post") return;
  if (Date.now() - (sentAt.get(form) ?? -Infinity) < RESEND_MS) event.preventDefault();
  else sentAt.set(form, Date.now());
});
window.addEventListener("pageshow", () => {
  for (const form of document.forms) sentAt.delete(form);
});

// Controls that submit their form as soon as they change (filters).
document.addEventListener("change", (event) => {
  const { form } = event.target;
  if (!form || !event.target.matches("[data-autosubmit]")) return;
  sentAt.delete(form); // another choice is no double click
  form.requestSubmit();
});

// On a narrow screen the tabs, and the kinds of disagreement, scroll: the page's own is brought into view.
for (const here of document.querySelectorAll(":is(.tabs, .kinds) [aria-current]")) {
  here.scrollIntoView({ block: "nearest", inline: "center" });
}

// A table that is wider than the screen takes the focus, so that the arrow keys scroll it.
const wide = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    if (target.scrollWidth > target.clientWidth) target.tabIndex = 0;
    else target.removeAttribute("tabindex");
  }
});
const watchTables = (root) => root.querySelectorAll(".table-wrap").forEach((wrap) => wide.observe(wrap));
watchTables(document);
document.addEventListener("htmx:load", (event) => watchTables(event.target));

// Copy buttons: <button data-copy="#id" data-done="Copied">.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const source = document.querySelector(button.dataset.copy);
  if (!source) return;
  if (await copyText(source.value ?? source.textContent, source)) button.textContent = button.dataset.done;
});
