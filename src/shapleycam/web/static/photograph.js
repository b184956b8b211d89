// A photograph that is chosen, dropped or pasted is sent at once, unless it is too large.
"use strict";
{
  const form = document.getElementById("upload");
  if (form) {
    const file = document.getElementById("file"), refusal = document.getElementById("refusal");
    const most = Number(form.dataset.mostMegabytes);

    const refuse = (text) => {
      refusal.textContent = text;
      refusal.hidden = false;
      document.getElementById("settings").open = true;
      refusal.scrollIntoView({ block: "nearest" });
      file.value = "";
    };

    const send = () => {
      const [chosen] = file.files;
      if (!chosen) return;
      const size = chosen.size / 1e6;
      if (chosen.size === 0) refuse(`${chosen.name}: the file is empty; choose another`);
      else if (size > most) refuse(`${chosen.name}: ${size.toFixed(1)} MB, over the limit of ${most} MB; make it smaller`);
      else form.requestSubmit();
    };

    // Return the form with the choices in the boxes: a page with the latest of them may still be on its way. Classes are
    // those of the earlier photograph, and are left out.
    const content = () => {
      const body = new FormData(form), question = document.getElementById("question"), chosen = new FormData(question);
      for (const { name, type } of question.elements) {
        if (!name || type === "hidden" || name === "class" || name === "against") continue;
        body.delete(name);
        if (chosen.has(name)) body.set(name, chosen.get(name));
      }
      return body;
    };

    // Send the form; a refusal is said here, so that the address, and the answer to it, stay.
    const post = async () => {
      try {
        const response = await fetch(form.action, { method: "POST", body: content() });
        if (response.redirected) {
          location.assign(response.url);
          return;
        }
        const page = new DOMParser().parseFromString(await response.text(), "text/html");
        refuse(page.querySelector("#upload .message:not([hidden])")?.textContent ?? `The server answered ${response.status}; try again`);
      } catch {
        refuse("The photograph did not arrive: the server cannot be reached, or has refused it; try again");
      }
      form.classList.remove("sending");
    };

    const take = (files) => {
      if (files.length > 1) {
        refuse(`${files.length} files; the page takes one photograph at a time`);
        return;
      }
      const transfer = new DataTransfer();
      transfer.items.add(files[0]);
      file.files = transfer.files;
      send();
    };

    file.addEventListener("change", send);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      refusal.hidden = true;
      form.classList.add("sending");
      post();
    });
    addEventListener("pageshow", () => form.classList.remove("sending"));
    const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
    addEventListener("dragover", (event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      document.body.classList.add("dropping");
    });
    addEventListener("dragleave", (event) => { if (!event.relatedTarget) document.body.classList.remove("dropping"); });
    addEventListener("drop", (event) => {
      document.body.classList.remove("dropping");
      if (!hasFiles(event)) return;
      event.preventDefault();
      if (event.dataTransfer.files.length) take(event.dataTransfer.files);
      else refuse("That was no file; drop a photograph");
    });
    addEventListener("paste", (event) => {
      if (event.clipboardData?.files.length) {
        event.preventDefault();
        take(event.clipboardData.files);
      }
    });
  }
}
