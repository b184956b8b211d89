// Boxes that are searched by typing (the ARIA pattern of a combobox with a list). The first match is the exact one.
// Options are pairs [value, label]: of the attribute data-options, or from the address data-source when first opened.
"use strict";
{
  const MOST = 50;
  const fold = (text) => text.toLowerCase().normalize("NFKD").replace(/\p{M}/gu, "").replace(/[\s_-]+/g, " ").trim();

  // How well an option matches: 0 exactly, 1 and 2 at the beginning, 3 at a word, 4 inside; undefined not at all.
  const rank = (option, typed) => {
    if (option.names.includes(typed)) return 0;
    if (option.names.some((name) => name.startsWith(typed))) return 1;
    if (option.text.startsWith(typed)) return 2;
    if (option.text.includes(` ${typed}`)) return 3;
    return option.text.includes(typed) ? 4 : undefined;
  };

  class Combobox {
    constructor(root, place) {
      this.root = root;
      this.input = root.querySelector("input");
      this.clear = root.querySelector(".clear");
      this.list = document.createElement("ul");
      this.list.id = `options-${place}`;
      this.list.hidden = true;
      this.list.setAttribute("role", "listbox");
      this.list.setAttribute("aria-label", this.input.labels[0]?.textContent ?? this.input.name);
      root.append(this.list);
      this.input.removeAttribute("list");
      const attributes = { role: "combobox", "aria-expanded": "false", "aria-autocomplete": "list", "aria-controls": this.list.id };
      for (const [name, value] of Object.entries(attributes)) this.input.setAttribute(name, value);
      this.listen();
      this.showClear();
    }

    listen() {
      this.input.addEventListener("input", () => { this.open(this.input.value); this.showClear(); });
      this.input.addEventListener("click", () => this.open(""));
      this.input.addEventListener("keydown", (event) => this.key(event));
      this.input.addEventListener("blur", () => this.close());
      this.input.form?.addEventListener("reset", () => setTimeout(() => this.showClear()));
      this.clear.addEventListener("click", () => { this.input.focus(); this.choose(""); });
      this.list.addEventListener("pointerdown", (event) => event.preventDefault());  // the focus stays in the box
      this.list.addEventListener("click", (event) => {
        const item = event.target.closest("[role=option]");
        if (item) this.choose(item.dataset.value);
      });
    }

    async options() {
      if (this.all) return this.all;
      let pairs = JSON.parse(this.root.dataset.options ?? "null");
      if (!pairs) {
        const response = await fetch(this.root.dataset.source);
        if (!response.ok) throw new Error(`the list could not be read (${response.status})`);
        pairs = await response.json();
      }
      const isClass = Boolean(this.root.dataset.source);
      this.all = pairs.map(([value, label], number) => {
        const names = isClass ? label.split(",") : [label.split(":")[0]];
        return { value, label, number: isClass ? String(number) : "", names: [...names, value, isClass ? String(number) : value].filter(Boolean).map(fold), text: fold(label) };
      });
      return this.all;
    }

    async open(typed) {
      this.typed = typed;
      let all;
      try { all = await this.options(); } catch (error) { this.say(`${error.message}; type a number or a name`); return; }
      if (this.typed !== typed || document.activeElement !== this.input) return;
      const folded = fold(typed);
      const ranked = all.map((option) => [folded ? rank(option, folded) : 0, option]).filter(([place]) => place !== undefined);
      ranked.sort(([a], [b]) => a - b);
      const shown = ranked.map(([, option]) => option);
      this.show(folded ? shown : this.likely(all).concat(shown), ranked.length && ranked[0][0] === 0 && folded);
    }

    // The classes that the answer lists, before all others.
    likely(all) {
      if (!this.root.dataset.source) return [];
      return [...document.querySelectorAll("#answer .classes [data-number]")].map((row) => {
        const option = all[row.dataset.number];
        return option && { ...option, note: row.cells[1].textContent };
      }).filter(Boolean);
    }

    show(options, isExact) {
      this.list.replaceChildren(...options.slice(0, MOST).map((option, place) => this.item(option, place)));
      const rest = options.length - MOST;
      if (options.length === 0) this.say("nothing by that name");
      else if (rest > 0) this.note(`and ${rest} more: type to search`);
      this.list.hidden = false;
      this.input.setAttribute("aria-expanded", "true");
      this.move(isExact ? 0 : -1);
      this.hasChoice = isExact;
    }

    item(option, place) {
      const item = document.createElement("li");
      item.setAttribute("role", "option");
      item.id = `${this.list.id}-${place}`;
      item.dataset.value = option.value;
      item.textContent = option.label;
      const note = [option.number && `class ${option.number}`, option.note].filter(Boolean).join(", ");
      if (note) item.append(Object.assign(document.createElement("small"), { textContent: note }));
      const explained = document.querySelector("#answer article[data-target]")?.dataset.target;
      const isNow = this.input.name === "class" ? option.number === explained : option.value === this.input.defaultValue;
      if (isNow) item.classList.add("now");
      item.setAttribute("aria-selected", String(isNow));
      return item;
    }

    note(text) {
      const item = document.createElement("li");
      item.className = "note";
      item.setAttribute("role", "presentation");
      item.textContent = text;
      this.list.append(item);
    }

    say(text) {
      this.list.replaceChildren();
      this.note(text);
      this.list.hidden = false;
      this.input.setAttribute("aria-expanded", "true");
    }

    get items() { return [...this.list.querySelectorAll("[role=option]")]; }

    move(to) {
      const { items } = this;
      items[this.at]?.classList.remove("active");
      this.at = items.length && to >= 0 ? to % items.length : -1;
      const item = items[this.at];
      item?.classList.add("active");
      item?.scrollIntoView({ block: "nearest" });
      if (item) this.input.setAttribute("aria-activedescendant", item.id);
      else this.input.removeAttribute("aria-activedescendant");
    }

    key(event) {
      const { items } = this, isOpen = !this.list.hidden;
      if (event.key === "ArrowDown" || event.key === "ArrowUp") {
        event.preventDefault();
        if (!isOpen) this.open("");
        else if (items.length) this.move(event.key === "ArrowDown" ? this.at + 1 : (Math.max(this.at, 0) + items.length - 1));
      } else if (event.key === "Enter" && isOpen) {
        event.preventDefault();
        if (this.at >= 0) this.choose(items[this.at].dataset.value);
        else if (this.input.value.trim() === "") this.choose("");
        else this.choose(items.length ? items[0].dataset.value : this.input.value);
      } else if (event.key === "Escape") {
        if (isOpen) event.preventDefault();
        else { this.input.value = this.input.defaultValue; this.showClear(); }
        this.close();
      } else if (event.key === "Tab") this.close();
    }

    choose(value) {
      const isChange = value !== this.input.defaultValue;
      this.input.value = value;
      this.showClear();
      this.close();
      if (isChange) this.input.dispatchEvent(new Event("change", { bubbles: true }));
    }

    close() {
      this.typed = undefined;
      this.list.hidden = true;
      this.at = -1;
      this.input.setAttribute("aria-expanded", "false");
      this.input.removeAttribute("aria-activedescendant");
    }

    showClear() { this.clear.hidden = this.input.value === ""; }
  }

  document.querySelectorAll(".combobox").forEach((root, place) => new Combobox(root, place));
}
