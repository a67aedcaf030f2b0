// Copies a text; where the browser has no clipboard (without HTTPS), selects its element: ready for Ctrl+C.
// Returns whether it was copied.
export async function copyText(text, element) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    window.getSelection().selectAllChildren(element);
    return false;
  }
}
