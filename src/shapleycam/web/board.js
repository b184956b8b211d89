const cells = () => [...element.querySelectorAll(".sc-cell")];
const told = () => trigger("click", { coalition: cells().map((c) => (c.getAttribute("aria-pressed") === "true" ? "1" : "0")).join("") });
const set = (cell, value) => cell.setAttribute("aria-pressed", String(value));
const isIn = (cell) => cell.getAttribute("aria-pressed") === "true";
const all = { everybody: () => true, nobody: () => false, "the others": (cell) => !isIn(cell) };
element.addEventListener("click", (event) => {
  const cell = event.target.closest(".sc-cell"), button = event.target.closest("[data-all]");
  if (cell) set(cell, !isIn(cell));
  else if (button) cells().forEach((each) => set(each, all[button.dataset.all](each)));
  else return;
  told();
});
element.addEventListener("keydown", (event) => {
  const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns(), ArrowDown: columns() }, step = steps[event.key];
  const place = cells().indexOf(event.target);
  if (step === undefined || place < 0) return;
  event.preventDefault();
  cells()[place + step]?.focus();
});
function columns() {
  return Number(getComputedStyle(element.querySelector(".sc-board")).getPropertyValue("--columns"));
}
