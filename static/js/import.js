// The upload page: a file dropped on the area is chosen in the form, and sending shows how far it is.
// Without this module the form works as an ordinary upload.
const form = document.querySelector("[data-upload]");
const area = document.querySelector("[data-drop]");
const input = area?.querySelector("input[type=file]");
const chosen = area?.querySelector("[data-chosen]");

function showChosen() {
  const file = input.files[0];
  chosen.textContent = file ? `${file.name} · ${(file.size / 1e6).toFixed(file.size < 1e6 ? 2 : 1)} MB` : "";
}

function over(event, isOver) {
  if (!event.dataTransfer?.types.includes("Files")) return;
  event.preventDefault();
  area.classList.toggle("over", isOver);
}

function send(event) {
  event.preventDefault();
  const bar = form.querySelector("[data-sent]");
  const button = form.querySelector("button[type=submit]");
  const request = new XMLHttpRequest();
  request.open("POST", form.action);
  request.upload.addEventListener("progress", (step) => {
    if (step.lengthComputable) bar.value = (100 * step.loaded) / step.total;
  });
  request.addEventListener("load", () => {
    // Only a redirect to the new import means success; anything else is the form with its errors.
    if (request.responseURL && request.responseURL !== form.action) window.location.assign(request.responseURL);
    else fallBack(bar, button);
  });
  request.addEventListener("error", () => fallBack(bar, button));
  request.send(new FormData(form));
  bar.hidden = false;
  button.disabled = true;
}

// Sends the form the ordinary way, so that the server's own page says what is wrong.
function fallBack(bar, button) {
  bar.hidden = true;
  button.disabled = false;
  form.removeEventListener("submit", send);
  form.submit();
}

if (form && input) {
  for (const name of ["dragenter", "dragover"]) area.addEventListener(name, (event) => over(event, true));
  for (const name of ["dragleave", "drop"]) area.addEventListener(name, (event) => over(event, false));
  area.addEventListener("drop", (event) => {
    if (event.dataTransfer.files.length) {
      input.files = event.dataTransfer.files;
      showChosen();
    }
  });
  input.addEventListener("change", showChosen);
  form.addEventListener("submit", send);
}
