// Keeps the list of pushes fresh and counts down. Without it the page reloads by itself.
"use strict";

const list = document.getElementById("pushes");
const trouble = document.getElementById("trouble");
const title = document.title;
let shown = "";

// The times count down here; only a change in anything else may replace the list, or a tap could miss its button.
const withoutTimes = (html) => html.replace(/<time[^]*?<\/time>/g, "");

function countDown() {
  for (const time of list.querySelectorAll("time[data-left]")) {
    const left = Math.max(0, Number(time.dataset.left) - 1);
    time.dataset.left = left;
    time.textContent = Math.floor(left / 60) + ":" + String(left % 60).padStart(2, "0");
  }
}

async function refresh() {
  try {
    const answer = await fetch(list.dataset.source, { cache: "no-store" });
    if (!answer.ok) throw new Error(answer.status);
    const { waiting, html } = await answer.json();
    const fresh = withoutTimes(html);
    if (fresh !== shown) {
      list.innerHTML = html;
      shown = fresh;
    } else {
      countDown();
    }
    document.title = waiting ? "(" + waiting + ") " + title : title;
    trouble.hidden = true;
  } catch {
    trouble.hidden = false;
  }
  setTimeout(refresh, 1000);
}

refresh();
