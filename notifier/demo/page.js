// Asks the demo every second what is new and draws it. Text is set as text, never as HTML.
"use strict";

const byId = (id) => document.getElementById(id);
const make = (tag, className, text) => {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
};
let shown = { events: "", mails: 0, calls: 0, messages: 0 };

// A story with a hundred comments must not bury the rest: of a type, the first few are shown and the others fold.
const SHOWN_OF_A_TYPE = 2;

function drawEvents(events) {
  const key = JSON.stringify(events);
  if (key === shown.events) return;
  shown.events = key;
  const open = new Set([...byId("events").querySelectorAll("details[open]")].map((details) => details.dataset.type));
  const types = groupByType(events);
  byId("events").replaceChildren(...[...types].flatMap(([type, group]) => {
    const items = group.slice(0, SHOWN_OF_A_TYPE).map(drawEvent);
    if (group.length > SHOWN_OF_A_TYPE) items.push(drawRest(type, group.slice(SHOWN_OF_A_TYPE), open.has(type)));
    return items;
  }));
}

function groupByType(events) {
  const types = new Map();
  for (const event of events) types.set(event.type, [...(types.get(event.type) || []), event]);
  return types;
}

function drawRest(type, events, isOpen) {
  const item = make("li", "event");
  const details = make("details");
  const list = make("ul");
  details.dataset.type = type;
  details.open = isOpen;
  list.append(...events.map(drawEvent));
  details.append(make("summary", "", `${events.length} more ${type}`), list);
  item.append(details);
  return item;
}

function drawEvent(event) {
  const item = make("li", "event");
  item.append(make("strong", "", event.type), " ", make("code", "", event.key));
  for (const delivery of event.deliveries) {
    const line = make("div", "delivery");
    line.append(make("span", `tag ${delivery.status}`, delivery.status), make("span", "", delivery.rule.split("/").pop()),
      make("code", "", `${delivery.channel} → ${delivery.destination}`));
    if (delivery.reason) line.append(make("code", "", delivery.reason));
    item.append(line);
  }
  return item;
}

function drawMails(mails) {
  if (mails.length === shown.mails) return;
  const isFirst = shown.mails === 0;
  shown.mails = mails.length;
  byId("mails").replaceChildren(...mails.map((mail, number) => {
    const button = make("button");
    button.append(make("span", "", mail.subject), make("small", "", `to ${mail.to}`));
    button.addEventListener("click", () => show(button, number));
    return button;
  }).reverse());
  if (isFirst) show(byId("mails").firstChild, mails.length - 1);
}

function show(button, number) {
  for (const other of byId("mails").children) other.setAttribute("aria-current", String(other === button));
  byId("mail").src = `/mail/${number}`;
}

function drawCalls(calls) {
  if (calls.length === shown.calls) return;
  shown.calls = calls.length;
  byId("calls").replaceChildren(...calls.map((call) => {
    const details = make("details");
    const summary = make("summary");
    summary.append(make("span", `tag ${call.verified ? "verified" : "wrong"}`, call.verified ? "signature verified" : "wrong signature"),
      " ", make("strong", "", call.body?.type || ""), " ", make("code", "", call.delivery));
    details.append(summary, make("pre", "", JSON.stringify(call.body, null, 2)));
    return details;
  }).reverse());
}

function drawMessages(messages) {
  if (messages.length === shown.messages) return;
  shown.messages = messages.length;
  byId("messages").replaceChildren(...messages.map((message) => {
    const item = make("li", "event");
    item.append(make("strong", "", message.to), " ", make("span", "", message.text), " ", make("code", "", message.delivery));
    return item;
  }).reverse());
}

async function look() {
  try {
    const state = await (await fetch("/state")).json();
    const deliveries = state.events.flatMap((event) => event.deliveries);
    byId("n-events").textContent = state.events.length;
    byId("n-deliveries").textContent = deliveries.length;
    byId("n-sent").textContent = deliveries.filter((d) => d.status === "sent").length;
    byId("n-mails").textContent = state.mails.length;
    byId("n-calls").textContent = state.calls.filter((call) => call.verified).length;
    byId("n-messages").textContent = state.messages.length;
    byId("says").textContent = state.says;
    drawEvents(state.events);
    drawMails(state.mails);
    drawCalls(state.calls);
    drawMessages(state.messages);
  } catch (error) {
    byId("says").textContent = `The demo has stopped (${error}).`;
  }
  setTimeout(look, 1000);
}
look();
