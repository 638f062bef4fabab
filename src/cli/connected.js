"use strict";
// The answer may stand behind the # of the address, which only the browser sees: it is handed to the program that waits.
const say = (text) => {
  document.getElementById("words").textContent = text;
};
const answer = location.hash.slice(1);
const here = location.pathname + location.search;
history.replaceState(null, "", location.pathname);
if (answer === "") {
  say("Nothing came with this page. Go back to the terminal and begin again.");
} else {
  const headers = { "content-type": "application/x-www-form-urlencoded" };
  fetch(here, { method: "POST", headers, body: answer })
    .then((response) => response.text())
    .then(say)
    .catch(() => say("The program at the terminal no longer listens."));
}
