// Without a connection a page says so. Nothing else is kept here: no page, no number, nothing that needs a login.
"use strict";
const CACHE = "offline-{{ mark }}";
const PAGE = "/offline";
const KEPT = [PAGE, "{{ static('relay.css') }}", "{{ static('icon.svg') }}"];

async function keep() {
  const cache = await caches.open(CACHE);
  for (const address of KEPT) {
    // Without the cookie: what is kept is what anybody would see.
    const answer = await fetch(address, { credentials: "omit", cache: "no-cache" });
    if (!answer.ok) throw new Error(`${address}: ${answer.status}`);
    await cache.put(address, answer);
  }
}

async function forgetOthers() {
  for (const name of await caches.keys()) if (name !== CACHE) await caches.delete(name);
}

self.addEventListener("install", (event) => event.waitUntil(keep().then(() => self.skipWaiting())));
self.addEventListener("activate", (event) => event.waitUntil(forgetOthers().then(() => self.clients.claim())));
self.addEventListener("fetch", (event) => {
  const { request } = event, address = new URL(request.url);
  if (request.method !== "GET") return;
  if (request.mode === "navigate") {
    event.respondWith(fetch(request).catch(() => caches.match(PAGE)));
  } else if (address.origin === self.location.origin && KEPT.includes(address.pathname + address.search)) {
    event.respondWith(fetch(request).catch(() => caches.match(request)));
  }
});
