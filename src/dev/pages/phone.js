// Keeps the list of pushes fresh. Without it the page reloads by itself.
"use strict";

const list = document.getElementById("pushes");
const trouble = document.getElementById("trouble");
const title = document.title;
let shown = "";

// The server counts down; only a change in anything else may replace the list, or a tap could miss its button.
const withoutTimes = (html) => html.replace(/<time[^]*?<\/time>/g, "");

function showTimes(html) {
  const fresh = document.createElement("template");
  fresh.innerHTML = html;
  const times = list.querySelectorAll("time");
  fresh.content.querySelectorAll("time").forEach((time, at) => (times[at].textContent = time.textContent));
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
      showTimes(html);
    }
    document.title = waiting ? "(" + waiting + ") " + title : title;
    trouble.hidden = true;
  } catch {
    trouble.hidden = false;
  }
  setTimeout(refresh, 1000);
}

refresh();
