// What the theme lacks for the keyboard and for screen readers.
"use strict";
{
  // Tables and formulas that are wider than the page scroll; the keyboard reaches those that do.
  const update = () => {
    for (const box of document.querySelectorAll(".md-typeset__scrollwrap, .formula")) {
      if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
      else box.removeAttribute("tabindex");
    }
  };
  addEventListener("load", update);
  addEventListener("resize", update);

  // The search is a dialog without a name.
  document.querySelector(".md-search")?.setAttribute("aria-label", "Search");
}
