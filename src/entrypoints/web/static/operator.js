// Makes the operator's page live, and saves the way there and back. Everything on it can be read, and one letter be
// replayed or discarded, without this script. What others wrote is set as text, or comes escaped from the server.
"use strict";

const API = "/operator/api/dead-letters";
const AT_ONCE = 25; // letters that one request changes
const SHOWN_MOST = 60; // looks in a plot
const AGAIN_SECONDS = 10;

const all = (what, within = document) => [...within.querySelectorAll(what)];
const counted = (number) => number.toLocaleString("en-US");

function made(name, attributes = {}, ...inside) {
  const element = document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) element.setAttribute(attribute, value);
  element.append(...inside);
  return element;
}

function say(text) {
  document.getElementById("said").textContent = text;
  clearTimeout(say.over);
  say.over = setTimeout(() => (document.getElementById("said").textContent = ""), 8000);
}

// --- what changes by itself -------------------------------------------------------------------------------------------

const looks = [];

function plot() {
  all("[data-station]").forEach((station, number) => {
    const values = looks.map((look) => look[number]).filter((value) => value !== null);
    const most = Math.max(1, ...values);
    const step = 120 / (SHOWN_MOST - 1);
    const first = SHOWN_MOST - values.length;
    const points = values.map((value, at) => `${((first + at) * step).toFixed(1)},${(26 - (value / most) * 24).toFixed(1)}`);
    station.querySelector("polyline").setAttribute("points", points.join(" "));
  });
}

function put(name, status, detail) {
  for (const state of all("[data-state]")) {
    if (state.dataset.state !== name) continue;
    const known = ["ready", "degraded", "unavailable"].includes(status) ? status : "unknown";
    state.className = `state is-${known}`;
    if (state.textContent !== status) state.textContent = status;
  }
  for (const told of all("[data-detail]")) {
    if (told.dataset.detail === name && told.textContent !== detail) told.textContent = detail;
  }
}

function update(news) {
  put("overall", news.status, "");
  for (const [name, [status, told]] of Object.entries(news.checks)) put(name, status, told);
  for (const value of all("[data-value]")) {
    const text = news.texts[value.dataset.value];
    if (text !== undefined && value.textContent !== text) value.textContent = text;
  }
  if (news.plotted !== null) {
    looks.push(news.plotted);
    looks.splice(0, looks.length - SHOWN_MOST);
    plot();
  }
  tellOfNews(news.dead);
}

// The list stays as it is while somebody works on it; that there is more is told beside it.
function tellOfNews(dead) {
  const desk = document.querySelector("[data-total]");
  if (dead === null || location.search) return;
  const difference = dead - Number(desk.dataset.total);
  let told = desk.querySelector("[data-news]");
  if (difference <= 0) {
    told?.remove();
    return;
  }
  if (!told) {
    told = made("p", { "data-news": "", class: "news" }, made("span"), " ", made("a", { href: "/operator/#desk" }, "Show"));
    told.querySelector("a").addEventListener("click", () => setTimeout(() => location.reload()));
    desk.querySelector(".head").after(told);
  }
  told.querySelector("span").textContent = `${counted(difference)} more ${difference === 1 ? "has" : "have"} come.`;
}

let source;

function watch() {
  source?.close();
  source = new EventSource("/operator/live");
  source.addEventListener("history", (event) => {
    looks.splice(0, looks.length, ...JSON.parse(event.data));
    plot();
  });
  source.addEventListener("status", (event) => {
    liveness("live");
    update(JSON.parse(event.data));
  });
  source.addEventListener("ending", () => liveness("the service is ending"));
  source.addEventListener("error", () => {
    liveness("not live: trying again");
    if (source.readyState === EventSource.CLOSED) setTimeout(() => document.hidden || watch(), AGAIN_SECONDS * 1000);
  });
}

function liveness(word) {
  const told = document.querySelector("[data-live]");
  told.hidden = false;
  if (told.textContent !== word) told.textContent = word;
}

if (document.querySelector("[data-station]")) {
  watch();
  document.addEventListener("visibilitychange", () => (document.hidden ? source.close() : watch()));
}

const UNITS = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];

setInterval(() => {
  for (const ago of all("[data-since]")) {
    const seconds = (Date.now() - Date.parse(ago.dataset.since)) / 1000;
    const [size, unit] = UNITS.find(([size]) => Math.abs(seconds) >= size) ?? [1, "s"];
    const told = `${Math.round(Math.abs(seconds) / size)} ${unit}`;
    ago.textContent = seconds >= 0 ? `${told} ago` : `in ${told}`;
  }
}, 10000);

// --- what is done with letters ----------------------------------------------------------------------------------------

const DONE = { replay: "Replayed", discard: "Discarded" };

class Refused extends Error {}

async function asked(address, options) {
  let answer;
  try {
    answer = await fetch(address, options);
  } catch {
    throw new Refused("The service does not answer. Try again in a moment.");
  }
  if (answer.ok) return answer.json();
  if (answer.status === 401) throw new Refused("You are not signed in any more: open the page with the token again.");
  const problem = await answer.json().catch(() => ({ detail: `It answered ${answer.status}.` }));
  throw new Refused(`${problem.detail} Try again in a moment.`);
}

// Replays or discards these; tells after each request how many were done, and ends early when that answers false.
async function change(ids, verb, told = () => true) {
  const gone = [];
  let done = 0;
  for (let at = 0; at < ids.length; at += AT_ONCE) {
    const body = JSON.stringify({ ids: ids.slice(at, at + AT_ONCE) });
    const options = { method: "POST", headers: { "Content-Type": "application/json" }, body };
    let items;
    try {
      ({ items } = await asked(`${API}/${verb}`, options));
    } catch (error) {
      if (done) error.message = `${DONE[verb]} ${counted(done)} of ${counted(ids.length)}. ${error.message}`;
      throw error;
    }
    items.forEach(({ outcome, id }) => (outcome === "not-found" ? gone.push(id) : (done += 1)));
    takeAway(items.map(({ id }) => id));
    if (!told(done + gone.length)) break;
  }
  const already = gone.length ? ` ${counted(gone.length)} did not wait any more.` : "";
  say(`${DONE[verb]} ${counted(done)}.${already}`);
}

function takeAway(ids) {
  const desk = document.querySelector("[data-total]");
  if (!desk) return;
  const taken = new Set(ids);
  const total = Math.max(0, Number(desk.dataset.total) - ids.length);
  desk.dataset.total = total;
  all("tr[data-letter]", desk).forEach((row) => taken.has(row.dataset.letter) && row.remove());
  all("[data-count]", desk).forEach((count) => (count.textContent = counted(total)));
  picked();
  if (all("tr[data-letter]", desk).length) return;
  const left = made("p", { class: "empty" });
  if (total) left.append(`${counted(total)} more wait. `, made("a", { href: location.href }, "Show them"));
  else left.append(made("strong", {}, "Nothing is waiting."));
  (desk.querySelector(".letters")?.closest(".scroll") ?? desk.querySelector(".empty")).replaceWith(left);
  desk.querySelector("[data-bulk]")?.remove();
  if (!total) desk.querySelector("[data-count]")?.parentElement.remove();
}

document.addEventListener("submit", async (event) => {
  const form = event.target.closest("[data-replay], [data-discard]");
  if (!form) return;
  event.preventDefault();
  const letter = form.closest("[data-letter]").dataset.letter;
  const verb = "replay" in form.dataset ? "replay" : "discard";
  const row = form.closest("tr");
  const next = row?.nextElementSibling ?? row?.previousElementSibling;
  try {
    await change([letter], verb);
  } catch (error) {
    say(error.message);
    return;
  }
  if (!document.querySelector("[data-total]")) {
    location.assign("/operator/#desk");
    return;
  }
  form.closest("dialog")?.close();
  (next?.querySelector("[data-show]") ?? document.querySelector("tr [data-show]") ?? heading()).focus();
});

function heading() {
  const desk = document.getElementById("desk");
  desk.setAttribute("tabindex", "-1");
  return desk;
}

// --- a letter in front of the page ------------------------------------------------------------------------------------

function inFront(label, ...inside) {
  const dialog = made("dialog", { "aria-label": label }, ...inside);
  document.body.append(dialog);
  dialog.addEventListener("close", () => dialog.remove());
  dialog.showModal();
  return dialog;
}

document.addEventListener("click", async (event) => {
  const link = event.target.closest("[data-show]");
  if (!link || event.metaKey || event.ctrlKey || event.shiftKey) return;
  event.preventDefault();
  const answer = await fetch(link.href).catch(() => null);
  const page = answer?.ok ? new DOMParser().parseFromString(await answer.text(), "text/html") : null;
  const letter = page?.querySelector("article.letter");
  if (!letter) {
    location.assign(link.href); // it says itself what is wrong
    return;
  }
  const close = made("button", { type: "button", class: "close" }, "Close");
  const dialog = inFront(link.textContent, close, document.importNode(letter, true));
  close.addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => link.isConnected && link.focus());
});

// --- several at once --------------------------------------------------------------------------------------------------

let everything = false; // all that match, also on later pages

function picked() {
  const bar = document.querySelector("[data-bulk]");
  if (!bar) return;
  const boxes = all("[data-pick]");
  const chosen = boxes.filter((box) => box.checked);
  const total = Number(document.querySelector("[data-total]").dataset.total);
  if (chosen.length < boxes.length) everything = false;
  bar.hidden = !chosen.length;
  bar.querySelector("[data-picked]").textContent = counted(everything ? total : chosen.length);
  const more = bar.querySelector("[data-pick-all]");
  more.hidden = everything || chosen.length < boxes.length || total <= boxes.length;
  more.textContent = `Select all ${counted(total)} that match`;
  const head = document.querySelector("[data-all]");
  head.checked = boxes.length > 0 && chosen.length === boxes.length;
  head.indeterminate = chosen.length > 0 && chosen.length < boxes.length;
}

async function chosenIds() {
  if (!everything) return all("[data-pick]:checked").map((box) => box.closest("[data-letter]").dataset.letter);
  const query = new URLSearchParams(location.search);
  for (const [name, value] of [...query]) if (!value || name === "cursor") query.delete(name);
  query.set("limit", "100");
  const ids = [];
  for (let cursor = ""; cursor !== null; ) {
    if (cursor) query.set("cursor", cursor);
    const page = await asked(`${API}?${query}`);
    ids.push(...page.items.map(({ id }) => id));
    cursor = page.next_cursor;
  }
  return ids; // collected first: what fails again meanwhile is not taken a second time
}

const MEANS = {
  replay: "They are tried again from the start, each at its place in the order.",
  discard: "They will never be done, and what waits behind them goes on.",
};

async function together(verb) {
  let ids;
  try {
    ids = await chosenIds();
  } catch (error) {
    say(error.message);
    return;
  }
  const word = `${verb === "replay" ? "Replay" : "Discard"} ${counted(ids.length)}`;
  const yes = made("button", { type: "button", ...(verb === "discard" && { class: "danger" }) }, word);
  const no = made("button", { type: "button" }, "Cancel");
  const answers = made("div", { class: "answers" }, yes, no);
  const means = made("p", {}, MEANS[verb]);
  const dialog = inFront(word, made("h1", {}, `${word}?`), means, answers);
  let goesOn = true;
  dialog.addEventListener("close", () => (goesOn = false));
  no.addEventListener("click", () => dialog.close());
  no.focus();
  yes.addEventListener("click", async () => {
    const bar = made("progress", { max: ids.length, value: 0, "aria-label": word });
    means.replaceWith(bar, made("p", {}, "Stop ends after the next few; what was done stays done."));
    yes.remove();
    no.textContent = "Stop";
    no.focus();
    try {
      await change(ids, verb, (done) => ((bar.value = done), goesOn));
    } catch (error) {
      say(error.message);
    }
    dialog.close();
    (document.querySelector("tr [data-show]") ?? heading()).focus();
  });
}

for (const box of all("[data-pick], [data-all]")) box.hidden = false;
document.addEventListener("change", (event) => {
  if (event.target.matches("[data-all]")) all("[data-pick]").forEach((box) => (box.checked = event.target.checked));
  if (event.target.matches("[data-all], [data-pick]")) picked();
});
document.querySelector("[data-pick-all]")?.addEventListener("click", () => {
  everything = true;
  picked();
});
all("[data-do]").forEach((button) => button.addEventListener("click", () => together(button.dataset.do)));
