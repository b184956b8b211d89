// Maps: a pointer, a tap or the arrow keys read a place's value; a click enlarges.
"use strict";
{
  const grids = new WeakMap();
  // The values of a map's places, or, where it has regions, of these: `places` then are runs of one region each, its
  // number and how many places. Many values are an address, which is asked when the map is first read.
  const gridOf = (stage) => {
    if (!grids.has(stage)) {
      const text = stage.dataset.grid || "null", isHere = /^[{n]/.test(text);
      grids.set(stage, isHere ? whole(JSON.parse(text)) : null);
      if (!isHere) fetch(text).then((answer) => answer.json()).then((grid) => grids.set(stage, whole(grid)), () => {});
    }
    return grids.get(stage);
  };
  const whole = (grid) => {
    if (!grid?.places) return grid;
    const regions = new Uint32Array(grid.rows * grid.columns);
    for (let run = 0, place = 0; run < grid.places.length; run += 2) {
      regions.fill(grid.places[run], place, place += grid.places[run + 1]);
    }
    return { ...grid, regions };
  };
  const boxOf = (stage) => stage.dataset.box.split(" ").map(Number);

  // Show the value of a place, given by its row and column.
  const read = (stage, row, column) => {
    const { rows, columns, values, regions } = gridOf(stage);
    const [left, top, width, height] = boxOf(stage);
    const place = stage.querySelector(".place"), output = stage.querySelector(".value");
    place.setAttribute("x", left + (column * width) / columns);
    place.setAttribute("y", top + (row * height) / rows);
    place.setAttribute("width", width / columns);
    place.setAttribute("height", height / rows);
    place.removeAttribute("hidden");
    output.hidden = false;
    const at = row * columns + column;
    const where = regions ? `region ${regions[at] + 1}` : `row ${row + 1}, column ${column + 1}`;
    output.textContent = `${where}: ${values[regions ? regions[at] : at]} ${stage.dataset.unit}`;
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
    if (from) {
      let [row, column] = from;
      const { regions } = grid, region = regions?.[row * grid.columns + column];
      do {  // from region to region, or to the edge
        row += step[0];
        column += step[1];
      } while (regions && row >= 0 && column >= 0 && row < grid.rows && column < grid.columns
        && regions[row * grid.columns + column] === region);
      read(stage, within(row, grid.rows), within(column, grid.columns));
    } else read(stage, Math.floor(grid.rows / 2), Math.floor(grid.columns / 2));
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
