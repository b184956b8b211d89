// The board of Coalitions: each click takes a place out, or puts it back; the address says which are out.
"use strict";
{
  const placesOf = (board) => [...board.querySelectorAll("button.place")];
  const isIn = (place) => place.getAttribute("aria-pressed") === "true";
  const choices = { everybody: () => true, nobody: () => false, others: (place) => !isIn(place) };

  // Return an address with other absent places; the last part of its path is enough, since all views are at one level.
  const withAbsent = (address, absent) => {
    const [path, query = ""] = address.split("?");
    const parameters = new URLSearchParams(query);
    if (absent) parameters.set("absent", absent);
    else parameters.delete("absent");
    const text = parameters.toString();
    return text ? `${path}?${text}` : path;
  };

  // Say in the address, in all links and at the answer which places are out, and ask what the others are worth.
  const changed = (board) => {
    const absent = placesOf(board).flatMap((place, number) => (isIn(place) ? [] : [number])).join(".");
    history.replaceState(history.state, "", withAbsent(location.href.split("#")[0], absent));
    const state = board.closest("[data-question]");
    if (state) state.dataset.question = withAbsent(state.dataset.question, absent);
    for (const link of document.querySelectorAll("nav a[href], header a[href], article a[href]")) {
      const address = link.getAttribute("href");
      if (/^[a-z-]+(\?|$)/.test(address)) link.setAttribute("href", withAbsent(address, absent));
    }
    ask(document.getElementById("worth"), absent);
  };

  const ask = async (worth, absent) => {
    worth.setAttribute("aria-busy", "true");
    worth.dataset.absent = absent;
    try {
      await htmx.ajax("GET", withAbsent(worth.dataset.address, absent), { source: worth, target: worth, swap: "innerHTML" });
    } finally {
      if (worth.dataset.absent === absent && worth.hasAttribute("aria-busy")) refuse(worth);
    }
  };

  // Where it cannot be had, the one before must not stay: it is of other places.
  const refuse = (worth) => {
    const message = document.createElement("p"), link = document.createElement("a");
    message.className = "message";
    message.setAttribute("role", "alert");
    link.href = location.href.split("#")[0];
    link.textContent = "Ask again";
    message.append("The server has not said what these places are worth. ", link, ".");
    worth.replaceChildren(message);
    worth.removeAttribute("aria-busy");
  };

  document.addEventListener("click", (event) => {
    const place = event.target.closest("#board button.place"), choice = event.target.closest("[data-all]");
    const board = document.getElementById("board");
    if (place) place.setAttribute("aria-pressed", String(!isIn(place)));
    else if (choice) placesOf(board).forEach((each) => each.setAttribute("aria-pressed", String(choices[choice.dataset.all](each))));
    else return;
    changed(board);
  });

  // One place is in the tab order: the last that had the focus; the arrow keys go to its neighbours.
  document.addEventListener("focusin", (event) => {
    const place = event.target.closest("#board button.place");
    if (place) placesOf(place.closest("#board")).forEach((each) => (each.tabIndex = each === place ? 0 : -1));
  });
  document.addEventListener("keydown", (event) => {
    const place = event.target.closest("#board button.place");
    if (!place || event.altKey || event.ctrlKey || event.metaKey) return;
    const places = placesOf(place.closest("#board")), columns = place.parentNode.children.length;
    const number = places.indexOf(place), column = number % columns;
    const next = {
      ArrowLeft: column > 0 && number - 1,
      ArrowRight: column < columns - 1 && number + 1,
      ArrowUp: number - columns,
      ArrowDown: number + columns,
      Home: number - column,
      End: number - column + columns - 1,
    }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    if (next !== false) places[next]?.focus();
  });

  // While the worth of another coalition is on its way, the one before stays, and is marked as busy.
  document.addEventListener("htmx:sse:before:message", (event) => {
    if (event.target.id !== "worth") return;
    if (event.detail.message.data.includes('data-state="done"')) event.target.removeAttribute("aria-busy");
    else event.preventDefault();
  });

  // Places are as wide as the cells of the layer that they consist of. Not by their own style: htmx would copy the
  // attribute to the next state of an element with an id, which the page's policy forbids.
  const widths = new CSSStyleSheet();
  document.adoptedStyleSheets.push(widths);
  document.addEventListener("htmx:after:swap", () => {
    const places = [...document.querySelectorAll("#board [data-cells]")];
    const sizes = new Set(places.map((each) => Number(each.dataset.cells)));
    widths.replaceSync([...sizes].map((size) => `#board [data-cells="${size}"] { flex-grow: ${size}; }`).join(" "));
  });
}
