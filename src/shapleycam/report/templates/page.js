"use strict";
function key(row, column) {
  const text = row.cells[column].textContent.trim().replace(/^[<>]/, "");
  const number = parseFloat(text);
  return Number.isNaN(number) ? text : number;
}
function compare(one, other) {
  if (typeof one === typeof other) return typeof one === "number" ? one - other : one.localeCompare(other);
  return typeof one === "number" ? -1 : 1;
}
function sort(table, column, head) {
  const rows = Array.from(table.tBodies[0].rows);
  const falling = head.getAttribute("aria-sort") === "ascending";
  let name = "";
  for (const row of rows) {
    row.cells[0].textContent = name = row.cells[0].textContent || name;
    row.style.borderTop = "";
  }
  rows.sort((one, other) => (falling ? -1 : 1) * compare(key(one, column), key(other, column)));
  for (const each of head.parentNode.cells) each.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", falling ? "descending" : "ascending");
  table.tBodies[0].append(...rows);
}
for (const table of document.querySelectorAll("table")) {
  if (!table.tHead || table.tBodies[0].rows.length < 2) continue;
  Array.from(table.tHead.rows[0].cells).forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => sort(table, column, head));
  });
}
const observer = new ResizeObserver((entries) => {
  for (const { target } of entries) target.classList.toggle("wide", target.scrollWidth > target.clientWidth);
});
for (const region of document.querySelectorAll(".scroll")) observer.observe(region);
