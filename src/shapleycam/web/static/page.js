// The page's form: a change is a navigation to the address of the new question. Everything here can be left out: the
// buttons do the same. Nothing is remembered but where the reader was, for the one page that follows.
"use strict";
{
  const form = document.getElementById("question"), answer = document.getElementById("answer");
  const settings = document.getElementById("settings"), { title } = document;
  document.documentElement.classList.add("scripted");

  // The boxes and the answer may disagree while a new page is on its way, and for good if the visitor stopped it or the
  // server does not respond. Then a line above the answer says so; not at once, since most pages come within a second.
  const notice = document.getElementById("changed");
  let noticed = 0;
  const isChanged = () => [...form.elements].some((each) => {
    if (each.matches("select")) return each.selectedIndex !== Math.max(0, [...each.options].findIndex((option) => option.defaultSelected));
    return each.matches("input:not([type=hidden])") && each.value !== each.defaultValue;
  });
  const compareWithAnswer = () => {
    clearTimeout(noticed);
    if (isChanged()) noticed = setTimeout(() => { notice.hidden = !isChanged(); }, 1500);
    else notice.hidden = true;
  };
  form.addEventListener("change", compareWithAnswer);
  form.addEventListener("reset", () => setTimeout(compareWithAnswer));  // after it the boxes have their defaults

  // What is empty has its default, which the address leaves out.
  form.addEventListener("formdata", (event) => {
    for (const [name, value] of [...event.formData]) if (value === "") event.formData.delete(name);
  });

  // A change by the arrow keys waits until the keys rest, since each of them is one.
  let keyed = 0, waiting = 0;
  form.addEventListener("keydown", (event) => {
    if (event.target.matches("select") && event.key !== "Tab") keyed = event.timeStamp;
  });
  form.addEventListener("change", (event) => {
    clearTimeout(waiting);
    if (event.timeStamp - keyed > 300) form.requestSubmit();
    else waiting = setTimeout(() => form.requestSubmit(), 700);
  });
  form.addEventListener("focusout", () => {  // who leaves the box has chosen
    if (waiting) form.requestSubmit();
  });

  // Focus, scroll position and the height of the answer, for the page that follows.
  const KEY = "shapleycam-place";
  form.addEventListener("submit", () => {
    clearTimeout(waiting);
    waiting = 0;
    const place = { id: document.activeElement?.id, y: scrollY, height: answer.offsetHeight, time: Date.now() };
    try { sessionStorage.setItem(KEY, JSON.stringify(place)); } catch { /* storage is off: the page begins at its top */ }
  });
  const lastPlace = () => {
    try {
      const place = JSON.parse(sessionStorage.getItem(KEY));
      sessionStorage.removeItem(KEY);
      return place && Date.now() - place.time < 20_000 ? place : null;
    } catch { return null; }
  };
  const place = lastPlace(), focused = place?.id ? document.getElementById(place.id) : null;
  if (place) {
    answer.style.minHeight = `${place.height}px`;
    scrollTo(0, place.y);
    focused?.focus({ preventScroll: true });
  }

  // On a narrow window the settings are folded, unless the reader is in them or a refusal stands there.
  const narrow = matchMedia("(max-width: 62rem)");
  const isNeeded = () => settings.contains(document.activeElement) || settings.querySelector("[role=alert]:not([hidden])");
  const fold = () => { settings.open = !narrow.matches || Boolean(isNeeded()) || location.hash === "#settings"; };
  narrow.addEventListener("change", fold);
  fold();
  addEventListener("hashchange", () => { if (location.hash === "#settings") settings.open = true; });
  document.querySelector(".to-settings a").addEventListener("click", () => { settings.open = true; });
  settings.querySelector("[role=alert]:not([hidden])")?.scrollIntoView({ block: "center" });

  // Keys that still wait when the page is left must not submit the form when the browser shows it again.
  addEventListener("pagehide", () => {
    clearTimeout(waiting);
    waiting = 0;
  });

  // A page that the browser kept shows what its address says.
  addEventListener("pageshow", (event) => {
    if (event.persisted) for (const each of document.forms) each.reset();
  });

  // The arrow keys move among the tabs.
  document.querySelector("nav.tabs").addEventListener("keydown", (event) => {
    const tabs = [...event.currentTarget.querySelectorAll("a")], at = tabs.indexOf(document.activeElement);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tabs.length - 1 }[event.key];
    if (at < 0 || to === undefined) return;
    event.preventDefault();
    tabs[(to + tabs.length) % tabs.length].focus();
  });

  // The answer: when it is whole, its first sentence is announced; where its stream broke, that is said.
  const isDone = () => answer.querySelector("[data-state=done]") !== null;
  const settle = () => {
    if (!isDone()) return;
    answer.removeAttribute("aria-busy");
    answer.style.minHeight = "";
    const sentence = answer.querySelector(".answer, .message")?.textContent.replace(/\s+/g, " ").trim();
    document.getElementById("announcement").textContent = sentence ?? "";
    const { label } = answer.querySelector("article[data-label]")?.dataset ?? {};
    if (!label) return;
    document.title = `${label} · ${title}`;
    const box = document.getElementById("box-class"), about = document.getElementById("about-class");
    if (box && !box.defaultValue) box.placeholder = `predicted: ${label}`;
    if (box && /^\d+$/.test(box.defaultValue)) {
      about.textContent = label;
      about.hidden = false;
    }
  };
  new MutationObserver(settle).observe(answer, { childList: true });

  // The button that stops an answer is a new element in each of its states: what is pressed on one and let go on the
  // next is a click all the same, and the focus stays.
  let pressed = false, focusedStop = false;
  const stopAt = (event) => event.button === 0 && event.target.closest?.("a.stop");
  document.addEventListener("pointerdown", (event) => { pressed = Boolean(stopAt(event)); });
  document.addEventListener("pointerup", (event) => {
    const stop = stopAt(event);
    if (pressed && stop && !event.ctrlKey && !event.metaKey && !event.shiftKey) location.assign(stop.href);
    pressed = false;
  });
  document.addEventListener("focusin", (event) => { focusedStop = event.target.matches("a.stop"); });
  new MutationObserver(() => {
    if (focusedStop && document.activeElement === document.body) answer.querySelector("a.stop")?.focus({ preventScroll: true });
  }).observe(answer, { childList: true });
  settle();

  // A choice that was made before this script ran; a box in which somebody is typing submits when it is left.
  if (isChanged() && !document.activeElement?.matches("#question input")) form.requestSubmit();

  const broken = () => {
    if (isDone() || answer.querySelector(".broken") || answer.hasAttribute("data-waits")) return;  // it takes turns
    const message = document.createElement("p"), link = document.createElement("a");
    message.className = "message broken";
    message.setAttribute("role", "alert");
    link.href = location.href.split("#")[0];
    link.textContent = "Ask again";
    message.append("The server has stopped answering. ", link, ".");
    answer.replaceChildren(message);
    answer.removeAttribute("aria-busy");
  };
  for (const name of ["htmx:error", "htmx:response:error", "htmx:sse:error", "htmx:sse:close", "htmx:finally:request"]) {
    document.addEventListener(name, (event) => {
      if (event.target === answer || answer.contains(event.target)) setTimeout(broken, 300);
    });
  }
}
