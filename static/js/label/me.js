// Who is logged in, as the log-out form says: what a browser keeps is told apart by it.
export const me = () => document.querySelector("[data-leaving]")?.dataset.me ?? "";
