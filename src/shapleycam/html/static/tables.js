// Tables: a click on a head sorts, numbers as numbers, what is missing last; a second click turns the order round.
// A table that is wider than its place gets the class "wide", which the style sheet shows.
"use strict";
{
  const key = (row, column) => {
    const text = row.cells[column]?.textContent.trim() ?? "";
    const number = parseFloat(text.replace(/^[<>±]/, ""));
    return text === "" || Number.isNaN(number) ? text : number;
  };

  const order = (a, b, falling) => {
    if (a === "" || b === "") return (a === "") - (b === "");
    if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
    const rising = typeof a === "number" ? a - b : a.localeCompare(b);
    return falling ? -rising : rising;
  };

  const sort = (head) => {
    const body = head.closest("table").tBodies[0];
    const falling = head.getAttribute("aria-sort") === "ascending";
    const rows = [...body.rows].map((row) => [key(row, head.cellIndex), row]);
    rows.sort(([a], [b]) => order(a, b, falling));
    for (const each of head.parentNode.cells) each.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", falling ? "descending" : "ascending");
    body.append(...rows.map(([, row]) => row));
  };

  const mark = (scroll) => scroll.classList.toggle("wide", scroll.scrollWidth > scroll.clientWidth + 1);
  const sizes = new ResizeObserver((entries) => entries.forEach((entry) => mark(entry.target)));
  const watch = (root) => root.querySelectorAll(".scroll").forEach((scroll) => sizes.observe(scroll));

  document.addEventListener("click", (event) => {
    const button = event.target.closest("table.sortable button.sort");
    if (button) sort(button.closest("th"));
  });
  new MutationObserver(() => watch(document)).observe(document.body, { childList: true, subtree: true });
  watch(document);
}
