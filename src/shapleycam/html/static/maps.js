// Maps: a pointer, a tap or the arrow keys read a place's value; a click enlarges.
"use strict";
{
  const grids = new WeakMap();
  const gridOf = (stage) => {
    if (!grids.has(stage)) grids.set(stage, JSON.parse(stage.dataset.grid || "null"));
    return grids.get(stage);
  };
  const boxOf = (stage) => stage.dataset.box.split(" ").map(Number);

  // Show the value of a place, given by its row and column.
  const read = (stage, row, column) => {
    const { rows, columns, values } = gridOf(stage);
    const [left, top, width, height] = boxOf(stage);
    const place = stage.querySelector(".place"), output = stage.querySelector(".value");
    place.setAttribute("x", left + (column * width) / columns);
    place.setAttribute("y", top + (row * height) / rows);
    place.setAttribute("width", width / columns);
    place.setAttribute("height", height / rows);
    place.removeAttribute("hidden");
    output.hidden = false;
    output.textContent = `row ${row + 1}, column ${column + 1}: ${values[row * columns + column]} ${stage.dataset.unit}`;
    stage.dataset.place = `${row} ${column}`;
  };

  const forget = (stage) => {
    stage.querySelector(".place").setAttribute("hidden", "");
    stage.querySelector(".value").hidden = true;
  };

  const readAt = (stage, event) => {
    const svg = stage.querySelector("svg"), grid = gridOf(stage);
    if (!grid) return;
    const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    const [left, top, width, height] = boxOf(stage);
    const row = Math.floor(((point.y - top) / height) * grid.rows);
    const column = Math.floor(((point.x - left) / width) * grid.columns);
    if (row < 0 || column < 0 || row >= grid.rows || column >= grid.columns) forget(stage);
    else read(stage, row, column);
  };

  const MOVES = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  const move = (stage, event) => {
    const step = MOVES[event.key], grid = gridOf(stage);
    if (!step || !grid) return;
    event.preventDefault();
    const from = stage.dataset.place?.split(" ").map(Number);
    const within = (place, count) => Math.min(count - 1, Math.max(0, place));
    if (from) read(stage, within(from[0] + step[0], grid.rows), within(from[1] + step[1], grid.columns));
    else read(stage, Math.floor(grid.rows / 2), Math.floor(grid.columns / 2));
  };

  // Show a copy of a map, or a larger picture, over the page.
  const enlarge = (control) => {
    const figure = control.closest("figure"), stage = figure.querySelector(".stage");
    const dialog = document.createElement("dialog");
    dialog.style.setProperty("--opacity", getComputedStyle(figure).getPropertyValue("--opacity"));
    dialog.className = "enlarged";
    dialog.setAttribute("aria-label", control.getAttribute("aria-label"));
    if (stage) {
      dialog.append(stage.cloneNode(true));
    } else {
      const picture = control.querySelector("img").cloneNode();
      picture.src = control.dataset.large;
      dialog.append(picture);
    }
    for (const part of figure.querySelectorAll(".bar, figcaption")) dialog.append(part.cloneNode(true));
    for (const heading of dialog.querySelectorAll("[id]")) heading.removeAttribute("id");
    const close = document.createElement("button");
    close.className = "close";
    close.textContent = "Close";
    close.addEventListener("click", () => dialog.close());
    dialog.prepend(close);
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
    dialog.addEventListener("close", () => { dialog.remove(); control.focus(); });
    document.body.append(dialog);
    dialog.showModal();
  };

  document.addEventListener("pointermove", (event) => {
    const svg = event.target.closest?.(".stage svg");
    if (svg && event.pointerType !== "touch") readAt(svg.parentNode, event);
  });
  document.addEventListener("pointerout", (event) => {
    const svg = event.target.closest?.(".stage svg");
    if (svg && event.pointerType !== "touch" && !svg.contains(event.relatedTarget)) forget(svg.parentNode);
  });
  document.addEventListener("keydown", (event) => {
    const svg = event.target.closest?.(".stage svg");
    if (svg) move(svg.parentNode, event);
  });
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button.enlarge"), svg = event.target.closest(".stage svg");
    if (button) enlarge(button);
    else if (svg && event.pointerType === "touch") readAt(svg.parentNode, event);
    else if (svg && !svg.closest("dialog")) enlarge(svg.closest("figure").querySelector("button.enlarge"));
  });

  // The opacity of the colours, and whether the photograph, the crop or the map alone is shown.
  const settings = (event) => {
    const view = event.target.closest?.("article");
    if (event.target.matches?.("input.opacity")) view.style.setProperty("--opacity", event.target.value);
    if (!event.target.matches?.("input.shown")) return;
    const shown = event.target.value;
    for (const stage of view.querySelectorAll(".stage")) {
      const svg = stage.querySelector("svg"), photo = svg.querySelector(".photo");
      const whole = `0 0 ${photo.getAttribute("width")} ${photo.getAttribute("height")}`;
      svg.setAttribute("viewBox", shown === "photograph" ? whole : stage.dataset.box);
      photo.toggleAttribute("hidden", shown === "map");
      stage.dataset.shown = shown;
    }
  };
  document.addEventListener("input", settings);
}
