"use strict";
const form = document.getElementById("filter");
const clips = [...document.querySelectorAll("article")];

function show() {
  const wanted = new FormData(form);
  const severities = wanted.getAll("severity");
  const check = wanted.get("check");
  const words = wanted.get("words").toLowerCase();
  let count = 0;
  for (const clip of clips) {
    const has = [...clip.querySelectorAll("li")].some(
        (finding) => severities.includes(finding.className) && (!check || finding.dataset.check === check))
      && (!words || clip.textContent.toLowerCase().includes(words));
    clip.hidden = !has;
    count += has;
  }
  form.querySelector("output").textContent = `Showing ${count} of ${clips.length} clips`;
}

function step(by) {
  const visible = clips.filter((clip) => !clip.hidden);
  const index = visible.indexOf(document.activeElement.closest("article"));
  const next = visible[Math.min(visible.length - 1, Math.max(0, index + by))];
  if (next) {
    next.focus({ preventScroll: true });
    next.scrollIntoView({ block: "nearest" });
  }
}

function play(clip) {
  const sound = clip.querySelector("audio");
  if (!sound) return;
  for (const other of document.querySelectorAll("audio")) if (other !== sound) other.pause();
  if (sound.paused) sound.play(); else sound.pause();
}

if (form) {
  form.addEventListener("input", show);
  form.addEventListener("submit", (event) => event.preventDefault());
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("form, audio")) return;
    if (event.key === "j") step(1);
    else if (event.key === "k") step(-1);
    else if (event.key === " " && event.target.closest("article")) {
      event.preventDefault();
      play(event.target.closest("article"));
    }
  });
  show();
}
