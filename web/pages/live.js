// Keeps a page up to date: whenever the daemon says that something changed, and twice a
// minute, the same page is fetched and its main part put in the place of the old one.
// Without this script the page reloads by itself.
"use strict";
(() => {
  const every = 30000, soonest = 2000;
  const said = document.getElementById("live");
  let shown = revision(document), last = Date.now(), fresh = last, timer = 0, busy = false, stream = null;

  function revision(page) {
    const meta = page.querySelector("meta[name=revision]");
    return meta ? meta.content : "";
  }

  // later renews the page soon: not too often, and not in all browsers at once.
  function later() {
    if (!timer) timer = setTimeout(renew, Math.max(0, last + soonest - Date.now()) + Math.random() * 500);
  }

  async function renew() {
    clearTimeout(timer);
    timer = 0;
    if (busy || document.hidden || inUse()) return;
    busy = true;
    last = Date.now();
    try {
      const answer = await fetch(location.href, { cache: "no-store" });
      if (!answer.ok) throw new Error("status " + answer.status);
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const main = page.getElementById("main");
      if (!main) throw new Error("no page");
      if (inUse()) return;
      put(main);
      document.title = page.title;
      shown = revision(page);
      fresh = last;
      say("");
    } catch (error) {
      say("This is how it was at " + new Date(fresh).toISOString().slice(11, 19) + " UTC: the page can't be renewed (" + error.message + ")");
    } finally {
      busy = false;
    }
  }

  function say(text) {
    if (said.textContent !== text) said.textContent = text;
  }

  // inUse says whether somebody is filling in a form, or selecting text.
  function inUse() {
    const main = document.getElementById("main"), at = document.activeElement;
    if (at && main.contains(at) && at.matches("input, select, textarea")) return true;
    for (const field of main.querySelectorAll("input, textarea")) if (field.value !== field.defaultValue) return true;
    const selection = getSelection();
    return Boolean(selection && !selection.isCollapsed && main.contains(selection.anchorNode));
  }

  const reachable = "a[href], button, summary, [tabindex]";

  // name is what an element is found again by.
  function name(element) {
    return element.tagName + " " + (element.id || element.getAttribute("href") || element.getAttribute("aria-label") || element.textContent);
  }

  // put swaps the main part, and keeps the focus, what is open, and how far is scrolled.
  function put(fresh) {
    const old = document.getElementById("main");
    const focus = old.contains(document.activeElement) ? document.activeElement : null;
    const open = new Map(), scrolled = new Map(), told = new Set();
    for (const d of old.querySelectorAll("details")) open.set(d.id || name(d.querySelector("summary")), d.open);
    for (const s of old.querySelectorAll(".scroll, pre")) scrolled.set(name(s), s.scrollLeft);
    for (const a of old.querySelectorAll("[role=alert], [role=status]")) told.add(a.textContent);
    // What has been read aloud isn't read again.
    for (const a of fresh.querySelectorAll("[role=alert], [role=status]")) if (told.has(a.textContent)) a.removeAttribute("role");
    const same = focus ? [...old.querySelectorAll(reachable)].filter((e) => name(e) === name(focus)).indexOf(focus) : -1;
    old.replaceWith(fresh);
    for (const d of fresh.querySelectorAll("details")) {
      const key = d.id || name(d.querySelector("summary"));
      if (open.has(key)) d.open = open.get(key);
    }
    for (const s of fresh.querySelectorAll(".scroll, pre")) s.scrollLeft = scrolled.get(name(s)) || 0;
    if (!focus) return;
    const found = [...fresh.querySelectorAll(reachable)].filter((e) => name(e) === name(focus));
    const next = found[Math.max(same, 0)] || found[0];
    if (next) next.focus({ preventScroll: true });
  }

  // A page that nobody sees holds no connection: browsers have few for each server.
  function listen() {
    if (document.hidden) {
      if (stream) stream.close();
      stream = null;
      return;
    }
    if (stream && stream.readyState !== EventSource.CLOSED) return;
    stream = new EventSource("/events/console");
    stream.onmessage = (event) => { if (event.data !== shown) later(); };
  }

  document.addEventListener("visibilitychange", () => { listen(); if (!document.hidden) later(); });
  addEventListener("pagehide", () => { if (stream) stream.close(); });
  addEventListener("pageshow", listen);
  setInterval(() => { listen(); later(); }, every);
  listen();
})();
