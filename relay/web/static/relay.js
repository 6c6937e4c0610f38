// Times in the reader's zone, copy buttons, and charts. Everything else is the server's.
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

  function colour(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  }

  function axis() {
    return { stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line"), width: 1 } };
  }

  function draw(box, chart) {
    box.textContent = "";
    if (!chart.series.length || !chart.x.length) {
      box.textContent = box.dataset.empty || "Nothing to show yet.";
      box.classList.add("empty");
      return;
    }
    const strokes = [colour("--link"), colour("--good"), colour("--warn"), colour("--bad"), colour("--soft")];
    const series = chart.series.map((each, i) => ({
      label: each.name, stroke: strokes[i % strokes.length], width: 2, points: { show: chart.x.length < 60 },
    }));
    const isTime = chart.labels === undefined;
    const x = axis();
    if (!isTime) x.values = (u, ticks) => ticks.map((t) => chart.labels[t] ?? "");
    new uPlot({
      width: box.clientWidth, height: 220, scales: { x: { time: isTime } }, cursor: { y: false },
      axes: [x, { ...axis(), size: 72 }], series: [{ label: isTime ? "Time" : "", value: isTime ? undefined : (u, v) => chart.labels[v] ?? "" }, ...series],
    }, [chart.x, ...chart.series.map((each) => each.y)], box);
  }

  async function charts(root) {
    for (const box of root.querySelectorAll("[data-chart]")) {
      try {
        const answer = await fetch(box.dataset.chart, { headers: { "HX-Request": "true" } });
        draw(box, await answer.json());
      } catch {
        box.textContent = "The chart could not be loaded.";
      }
    }
  }

  function all(root) { localTimes(root); copies(root); }

  document.addEventListener("DOMContentLoaded", () => { all(document); charts(document); });
  document.addEventListener("htmx:afterSwap", (event) => { localTimes(event.target); });
})();
