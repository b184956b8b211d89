// Streams of answers take turns among the tabs of a browser. Over HTTP/1.1 it has six connections to a server: six tabs
// that watch long samplings would hold them all, and no other could even load its page. So at most four tabs have a
// stream at a time. The others say that they wait; one that is looked at takes the turn of one that is hidden, which
// goes on when it is looked at again: the server has kept what was sampled.
//
// Tabs talk on a channel: who wants a turn asks, and counts those that answer: tabs with a stream, and tabs that wait
// before it. A tab that is gone does not answer, so that nothing has to be cleaned up after it. On a busy machine answers
// come late: who began meanwhile counts them all the same, gives its turn back where there were too many, and waits longer
// for answers the next time. Who has an answer leaves the channel, with which the browser would not keep the page for
// going back to it.
"use strict";
{
  const MOST = 4, SECONDS_TO_RETRY = 2, LONGEST_TO_ANSWER = 2000;
  const answer = document.getElementById("answer");
  if (answer.hasAttribute("hx-get")) {
    let channel = null;
    const id = Math.random().toString(36).slice(2);
    let state = "waiting", since = Date.now(), answers = new Map(), isAsking = false, retry = 0;
    let millisecondsToAnswer = 60;

    const me = () => ({ from: id, state, since, isHidden: document.hidden });
    const post = (kind, more = {}) => channel?.postMessage({ kind, ...me(), ...more });
    const isBefore = (one, other) => {
      if (one.isHidden !== other.isHidden) return !one.isHidden;
      return one.since < other.since || (one.since === other.since && one.from < other.from);
    };

    const saysThatItWaits = (says) => {
      answer.querySelector(":scope > .waits")?.remove();
      answer.toggleAttribute("data-waits", says);
      if (!says) return;
      const note = document.createElement("p");
      note.className = "message waits";
      note.setAttribute("role", "status");
      note.textContent = `${MOST} other tabs of this browser are being answered, as many as at the same time; this one goes on by itself when one of them is done, or hidden.`;
      answer.prepend(note);
    };

    const begin = () => {
      state = "streaming";
      saysThatItWaits(false);
      htmx.trigger(answer, "turn");
    };

    // Ask the other tabs, and begin where there are few enough.
    const ask = async () => {
      clearTimeout(retry);
      if (state !== "waiting" || isAsking) return;
      if (!channel) {
        channel = new BroadcastChannel("shapleycam-streams");
        channel.addEventListener("message", hear);
      }
      isAsking = true;
      answers = new Map();  // by tab: a late answer to an earlier question is the same tab
      post("asks");
      await new Promise((resolve) => { setTimeout(resolve, millisecondsToAnswer); });
      isAsking = false;
      if (state !== "waiting") return;
      if (answers.size < MOST) { begin(); return; }
      saysThatItWaits(true);
      const hidden = [...answers.values()].find((each) => each.state === "streaming" && each.isHidden);
      if (hidden && !document.hidden) post("yields", { to: hidden.from });
      retry = setTimeout(ask, 1000 * SECONDS_TO_RETRY);
    };

    // Give the turn to another tab; what is shown so far stays.
    const giveUp = () => {
      if (state !== "streaming") return;
      state = "waiting";
      since = Date.now();
      saysThatItWaits(true);
      htmx.trigger(answer, "htmx:abort");
      post("is free");
      clearTimeout(retry);
      retry = setTimeout(ask, 1000 * SECONDS_TO_RETRY);
    };

    const leave = () => {
      clearTimeout(retry);
      if (state === "streaming") post("is free");
      state = "done";
      channel?.close();
      channel = null;
    };
    const end = () => { if (state === "streaming") leave(); };

    const hear = ({ data }) => {
      if (data.kind === "asks" && (state === "streaming" || (state === "waiting" && isBefore(me(), data)))) post("counts", { to: data.from });
      else if (data.kind === "counts" && data.to === id) {
        answers.set(data.from, data);
        if (!isAsking) millisecondsToAnswer = Math.min(2 * millisecondsToAnswer, LONGEST_TO_ANSWER);
        if (answers.size >= MOST) giveUp();
      }
      else if (data.kind === "yields" && data.to === id && document.hidden) giveUp();
      else if (data.kind === "is free") ask();
    };
    document.addEventListener("visibilitychange", ask);
    document.addEventListener("freeze", giveUp);
    addEventListener("pagehide", leave);
    addEventListener("pageshow", (event) => {
      if (!event.persisted || answer.querySelector("[data-state=done]")) return;
      state = "waiting";
      ask();
    });
    for (const name of ["htmx:error", "htmx:response:error", "htmx:sse:error", "htmx:sse:close", "htmx:finally:request"]) {
      document.addEventListener(name, (event) => { if (event.target === answer) end(); });
    }
    if (document.readyState === "complete") ask();
    else addEventListener("DOMContentLoaded", () => setTimeout(ask));
  }
}
