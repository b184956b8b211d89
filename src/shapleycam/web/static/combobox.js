// Boxes that are searched by typing (the ARIA pattern of a combobox with a list). The first match is the exact one.
// Options are pairs [value, label]: of the attribute data-options, and from the address data-source when first opened.
// Of classes (data-kind) one must be chosen; a layer can also be typed that is not in the list.
"use strict";
{
  const MOST = 50;
  const fold = (text) => text.toLowerCase().normalize("NFKD").replace(/\p{M}/gu, "").replace(/[\s_-]+/g, " ").trim();

  // How well an option matches: 0 to the letter, 1 as a name, 2 and 3 at the beginning, 4 at a word, 5 inside; undefined
  // not at all. Names that differ in case or in _ and - alone are two layers.
  const rank = (option, typed) => {
    const folded = fold(typed);
    if (option.exact.includes(typed.trim())) return 0;
    if (option.names.includes(folded)) return 1;
    if (option.names.some((name) => name.startsWith(folded))) return 2;
    if (option.text.startsWith(folded)) return 3;
    if (option.text.includes(` ${folded}`)) return 4;
    return option.text.includes(folded) ? 5 : undefined;
  };

  class Combobox {
    constructor(root, place) {
      this.root = root;
      this.input = root.querySelector("input");
      this.clear = root.querySelector(".clear");
      this.isOfClasses = root.dataset.kind === "class";
      this.known = this.named(JSON.parse(root.dataset.options ?? "[]"));
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

    named(pairs) {
      return pairs.map(([value, label], place) => {
        const number = this.isOfClasses ? String(place) : "";
        const exact = [...(this.isOfClasses ? label.split(",") : label.split(":", 1)), value, number].map((name) => name.trim()).filter(Boolean);
        return { value, label, number, exact, names: exact.map(fold), text: fold(label) };
      });
    }

    // Read the rest of the list, once; where that fails, the next opening tries again.
    read() {
      this.reading ??= (async () => {
        const response = await fetch(this.root.dataset.source);
        if (!response.ok) throw new Error(response.status === 422 ? await response.text() : `the list could not be read (${response.status})`);
        return this.named(await response.json());
      })().catch((error) => { this.reading = undefined; throw error; });
      return this.reading;
    }

    async open(typed) {
      this.typed = typed;
      const isWanted = () => this.typed === typed && document.activeElement === this.input;
      if (!this.all && this.known.length) this.listMatches(typed, this.known, "the model's own are being read …");
      try {
        this.all ??= this.known.concat(await this.read());
        if (isWanted()) this.listMatches(typed, this.all, "");
      } catch (error) {
        if (!isWanted()) return;
        if (this.known.length) this.listMatches(typed, this.known, error.message);
        else this.say(`${error.message}; type a number or a name`);
      }
    }

    listMatches(typed, all, note) {
      const isSearch = fold(typed) !== "";
      const ranked = all.map((option) => [isSearch ? rank(option, typed) : 0, option]).filter(([place]) => place !== undefined);
      ranked.sort(([a], [b]) => a - b);
      const shown = ranked.map(([, option]) => option);
      const isExact = isSearch && ranked.length > 0 && ranked[0][0] <= (this.isOfClasses ? 1 : 0);
      this.show(isSearch ? shown : this.likely(all).concat(shown), isExact, note);
    }

    // The classes that the answer lists, before all others.
    likely(all) {
      if (!this.isOfClasses) return [];
      return [...document.querySelectorAll("#answer .classes [data-number]")].map((row) => {
        const option = all[row.dataset.number];
        return option && { ...option, note: row.cells[1].textContent };
      }).filter(Boolean);
    }

    show(options, isExact, note) {
      const chosen = this.shownFor === this.typed ? this.items[this.at]?.dataset.value : undefined;
      this.shownFor = this.typed;
      this.list.replaceChildren(...options.slice(0, MOST).map((option, place) => this.item(option, place)));
      const rest = options.length - MOST;
      if (note) this.note(note);
      else if (options.length === 0) this.say(this.isOfClasses ? "nothing by that name" : "none of those that are listed");
      else if (rest > 0) this.note(`and ${rest} more: type to search`);
      this.list.hidden = false;
      this.input.setAttribute("aria-expanded", "true");
      this.move(isExact ? 0 : this.items.findIndex((item) => item.dataset.value === chosen));
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
        else this.choose(this.isOfClasses && items.length ? items[0].dataset.value : this.input.value.trim());
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
