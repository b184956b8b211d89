// Sort a table by the column of a head: numbers as numbers, what is missing last; again, the other way round.
function scSort(button) {
  const head = button.closest("th"), table = head.closest("table"), body = table.tBodies[0];
  const place = [...head.parentNode.children].indexOf(head);
  const down = head.getAttribute("aria-sort") === "ascending";
  const key = (row) => {
    const text = row.children[place].textContent.trim().replace("−", "-"), number = parseFloat(text);
    return Number.isNaN(number) ? text : number;
  };
  const order = (a, b) => {
    const [one, other] = [key(a), key(b)];
    if (one === "" || other === "") return (one === "") - (other === "");
    const found = typeof one === "number" && typeof other === "number" ? one - other : String(one).localeCompare(other);
    return down ? -found : found;
  };
  [...body.rows].sort(order).forEach((row) => body.append(row));
  head.parentNode.querySelectorAll("th").forEach((each) => each.removeAttribute("aria-sort"));
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
}
