// Times in the reader's zone, copy buttons, charts, and what a page says without a connection. All else is the server's.
(function () {
  "use strict";
  const clock = new Intl.DateTimeFormat(undefined, { dateStyle: "short", timeStyle: "medium" });

  function localTimes(root) {
    for (const each of root.querySelectorAll("time[datetime]")) {
      const at = new Date(each.getAttribute("datetime"));
      if (!isNaN(at)) each.textContent = clock.format(at);
    }
  }

  function copies(root) {
    for (const button of root.querySelectorAll("button[data-copy]")) {
      button.addEventListener("click", async () => {
        const source = document.getElementById(button.dataset.copy);
        const text = "value" in source ? source.value : source.textContent;
        try {
          await navigator.clipboard.writeText(text);
        } catch {
          const range = document.createRange();
          range.selectNodeContents(source);
          getSelection().removeAllRanges();
          getSelection().addRange(range);
          document.execCommand("copy");
        }
        const before = button.textContent;
        button.textContent = "Copied";
        setTimeout(() => { button.textContent = before; }, 1500);
      });
    }
  }

  // The server's number format: thin groups of three, a point, a true minus.
  function figure(value, decimals) {
    if (value === null || value === undefined) return "–";
    const [whole, part] = Math.abs(value).toFixed(decimals).split(".");
    const zero = !/[1-9]/.test(whole + (part || ""));
    return (value < 0 && !zero ? "−" : "") + whole.replace(/\B(?=(\d{3})+$)/g, "\u202f") + (part ? "." + part : "");
  }

  function decimals(unit) { return unit === undefined ? 0 : /^USD[TC]?$/.test(unit) ? 2 : 6; }

  const day = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric" });
  const hour = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });

  function colour(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  }

  function axis(more) {
    return { stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line"), width: 1 }, ...more };
  }

  // Never so narrow that a cent looks like a fall; one value alone gets some room, too.
  function around(u, least, most) {
    if (least === null) return [0, 1];
    const span = Math.max(most - least, Math.abs(most) * 0.004, 1e-6);
    return [(least + most - span * 1.2) / 2, (least + most + span * 1.2) / 2];
  }

  // Of a price: fills are marks without a line, levels are dashed.
  const kinds = {
    marks: { paths: () => null, points: { show: true, size: 11, width: 2 } },
    level: { width: 1, dash: [6, 4], points: { show: false } },
  };

  function plot(box) {
    const chart = box.chart;
    const isTime = chart.labels === undefined;
    const units = [...new Set(chart.series.map((each) => each.unit))];
    const strokes = [colour("--link"), colour("--good"), colour("--warn"), colour("--bad"), colour("--soft")];
    const series = chart.series.map((each, i) => ({
      label: each.name, scale: each.unit || "y", stroke: strokes[i % strokes.length], width: 2, points: { show: chart.x.length < 3 },
      paths: each.steps ? uPlot.paths.stepped({ align: 1 }) : undefined, value: (u, v) => figure(v, chart.places ?? decimals(each.unit)),
      spanGaps: each.kind === undefined, ...kinds[each.kind],
    }));
    const scales = { x: { time: isTime, range: isTime ? () => [box.chart.from, box.chart.until] : undefined } };
    const axes = [axis(isTime
      ? { values: (u, ticks, i, space, step) => ticks.map((t) => (step < 86400 ? hour : day).format(new Date(t * 1000))) }
      : { values: (u, ticks) => ticks.map((t) => chart.labels[t] ?? "") })];
    units.forEach((unit, i) => {
      scales[unit || "y"] = { range: isTime ? around : (u, least, most) => [Math.min(0, least), Math.max(1, most)] };
      axes.push(axis({ scale: unit || "y", side: i ? 1 : 3, size: 84, grid: { show: !i, stroke: colour("--line"), width: 1 },
        values: (u, ticks, n, space, step) => ticks.map((t) => figure(t, Math.max(0, Math.ceil(-Math.log10(step) - 1e-9)))) }));
    });
    const first = { label: isTime ? "Time" : "", value: (u, v) => v === null ? "–" : isTime ? clock.format(new Date(v * 1000)) : chart.labels[v] ?? "" };
    return new uPlot({ width: box.clientWidth, height: 220, scales, axes, cursor: { y: false }, series: [first, ...series] }, data(chart), box);
  }

  function data(chart) { return [chart.x, ...chart.series.map((each) => each.y)]; }

  function draw(box) {
    const names = JSON.stringify(box.chart.series.map((each) => each.name));
    if (box.plot && box.drawn === names) { box.plot.setData(data(box.chart)); return; }
    if (box.plot) box.plot.destroy();
    const isEmpty = !box.chart.series.length || !box.chart.x.length;
    box.plot = null;
    box.drawn = names;
    box.textContent = isEmpty ? box.dataset.empty || "Nothing to show yet." : "";
    box.classList.toggle("empty", isEmpty);
    if (!isEmpty) box.plot = plot(box);
  }

  async function charts() {
    for (const box of document.querySelectorAll("[data-chart]")) {
      try {
        const answer = await fetch(box.dataset.chart, { headers: { "HX-Request": "true" } });
        box.chart = await answer.json();
        draw(box);
      } catch {
        if (!box.plot) box.textContent = "The chart could not be loaded.";
      }
    }
  }

  function redraw() {
    for (const box of document.querySelectorAll("[data-chart]")) {
      if (box.plot) { box.drawn = null; draw(box); }
    }
  }

  // Without a connection the page says so and shows no numbers: they may have changed.
  let failures = 0;
  function reached(isReached, times = 1) {
    failures = isReached ? 0 : failures + times;
    const isLost = failures > 1;
    document.body.classList.toggle("lost", isLost);
    document.getElementById("lost").hidden = !isLost;
  }

  // Being offline says nothing of a relay on this very machine.
  function look() {
    fetch("/healthz").then((answer) => answer.ok, () => false).then((isThere) => {
      reached(isThere);
      if (!isThere) setTimeout(look, 2000);
    });
  }

  document.addEventListener("DOMContentLoaded", () => {
    localTimes(document);
    copies(document);
    charts();
    setInterval(() => { if (!document.hidden) charts(); }, 60_000);
    if ("Idiomorph" in window) {
      // What a reader has folded open stays open when the rest is swapped.
      Idiomorph.defaults.callbacks.beforeAttributeUpdated = (name, node) => !(name === "open" && node.tagName === "DETAILS");
    }
    if ("serviceWorker" in navigator) navigator.serviceWorker.register("/sw.js").catch(() => {});
    document.body.addEventListener("htmx:sendError", () => reached(false));
    document.body.addEventListener("htmx:timeout", () => reached(false, 2));
    document.body.addEventListener("htmx:afterOnLoad", (event) => reached(event.detail.successful));
    if (!document.querySelector("#live[hx-get]")) setInterval(look, 10_000);
    for (const event of ["online", "offline"]) window.addEventListener(event, look);
    let width = innerWidth;
    window.addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; redraw(); } });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  });
  document.addEventListener("htmx:afterSwap", (event) => { localTimes(event.target); });
})();
