// django-unfold's components, registered by name: the CSP build of Alpine does not look up global functions.
document.addEventListener("alpine:init", () => {
  for (const name of ["theme", "searchForm", "searchDropdown", "searchCommand"]) {
    if (typeof window[name] === "function") window.Alpine.data(name, window[name]);
  }
  window.Alpine.data("adminShell", () => ({
    activeTab: "general",
    sidebarMobileOpen: false,
    sidebarDesktopOpen: (localStorage.getItem("sidebarDesktopOpen") ?? "1") === "1",
    init() {
      if (typeof window.getCurrentTab === "function") this.activeTab = window.getCurrentTab() || "general";
      this.$watch("sidebarDesktopOpen", (open) => localStorage.setItem("sidebarDesktopOpen", open ? "1" : "0"));
    },
  }));
  // The body's own expression reads localStorage, which that build forbids.
  document.body.setAttribute("x-data", "adminShell");
  document.body.removeAttribute("x-init");
  // The form's address from `window.location`: without the attribute the browser posts to the page itself.
  for (const form of document.querySelectorAll("form[x-bind\\:action]")) form.removeAttribute("x-bind:action");
  for (const button of document.querySelectorAll('[x-on\\:click*="localStorage"]')) {
    button.setAttribute("x-on:click", "sidebarDesktopOpen = !sidebarDesktopOpen");
  }
});

// The admin's htmx writes a style element unless it is told not to.
const htmxConfig = document.createElement("meta");
htmxConfig.name = "htmx-config";
htmxConfig.content = '{"allowEval": false, "includeIndicatorStyles": false}';
document.head.append(htmxConfig);

// Fields that django-unfold leaves without a name for screen readers: the placeholder, the label of
// their row, or the head of their column.
function nameFields() {
  const fields = "input:not([type=hidden],[type=submit],[type=button]),select,textarea";
  for (const field of document.querySelectorAll(fields)) {
    const isLabelled = [...(field.labels ?? [])].some((label) => label.textContent.trim());
    if (isLabelled || field.ariaLabel || field.title || field.hasAttribute("aria-labelledby")) continue;
    const row = field.closest("[class*=field-]:has(label)");
    const cell = field.closest("td");
    const head = cell?.closest("table")?.tHead?.rows[0]?.cells[cell.cellIndex];
    const name = field.placeholder || row?.querySelector("label")?.textContent || head?.textContent;
    if (name?.trim()) field.ariaLabel = name.trim();
  }
}

// The icons beside the filters of a picker have a name, which only what has a role may have.
function nameIcons() {
  for (const icon of document.querySelectorAll("span.help-tooltip[aria-label]")) icon.setAttribute("role", "img");
}

document.addEventListener("DOMContentLoaded", nameFields);
// Dates, times and pickers come later, from scripts that wait for the same event.
window.addEventListener("load", () => setTimeout(() => [nameFields, nameIcons].forEach((name) => name())));
