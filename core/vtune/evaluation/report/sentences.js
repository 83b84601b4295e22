// The sentences of the page: players over pictures, the order of sentences, who is shown, keys.
const main = document.querySelector("main");
const chosen = JSON.parse(main.dataset.pair);
const sentences = [...main.querySelectorAll("article")].map((root) => ({
  root,
  number: Number(root.dataset.number),
  text: root.querySelector(".text").textContent,
  utterances: [...root.querySelectorAll(".utterance")].map(readUtterance),
}));
const systems = [...new Set(sentences.flatMap((sentence) => sentence.utterances.map((utterance) => utterance.system)))];

function readUtterance(root) {
  const { system, seed, seconds, metrics } = root.dataset;
  const audio = root.querySelector("audio");
  const track = audio && new Track(audio.getAttribute("src"), Number(seconds));
  if (track) {
    audio.remove(); // it was for a browser that runs no script
    bind(root, track);
  }
  return { root, system, seed: JSON.parse(seed), metrics: JSON.parse(metrics), track };
}

function bind(root, track) {
  const button = root.querySelector(".play"), strip = root.querySelector(".strip");
  const picture = root.querySelector(".picture"), head = picture.querySelector("i"), who = root.getAttribute("aria-label");
  button.hidden = false;
  button.addEventListener("click", () => toggle(track));
  picture.tabIndex = 0;
  const told = { role: "slider", "aria-label": `position in ${who}`, "aria-valuemin": 0, "aria-valuemax": track.seconds };
  for (const [name, value] of Object.entries(told)) picture.setAttribute(name, value);
  picture.addEventListener("click", (event) => {
    const box = picture.getBoundingClientRect();
    start(track, track.seconds * (event.clientX - box.left) / box.width);
  });
  picture.addEventListener("keydown", (event) => {
    const to = { ArrowLeft: track.at - 0.2, ArrowRight: track.at + 0.2, Home: 0, End: track.seconds }[event.key];
    if (to !== undefined) seek(track, to);
    else if (event.key === "Enter" || event.key === " ") toggle(track);
    else return;
    event.preventDefault();
  });
  track.show = () => {
    root.classList.toggle("on", track.sounds);
    button.setAttribute("aria-label", `${track.sounds ? "pause" : "play"} ${who}`);
    head.hidden = !track.at && !track.sounds;
    head.style.left = `${100 * Math.min(1, track.at / track.seconds)}%`;
    picture.setAttribute("aria-valuenow", track.at.toFixed(2));
    picture.setAttribute("aria-valuetext", `${track.at.toFixed(1)} of ${track.seconds.toFixed(1)} s`);
    if (track.sounds && picture.offsetWidth > strip.clientWidth) strip.scrollLeft = head.offsetLeft - strip.clientWidth / 2;
  };
  track.show();
}

// --- order, and who is shown

function badness(sentence, name, better) {
  const values = sentence.utterances.filter((utterance) => utterance.system === $("whose").value && name in utterance.metrics)
    .map((utterance) => utterance.metrics[name]);
  const far = { high: (value) => -value, low: (value) => value, one: (value) => Math.abs(value - 1) }[better];
  return values.length ? Math.max(...values.map(far)) : -Infinity; // what was not measured comes last
}

function arrange() {
  const { value: name, selectedOptions: [{ dataset: { better } }] } = $("order");
  $("of").hidden = !name;
  const rank = new Map(sentences.map((one) => [one, name ? badness(one, name, better) : 0]));
  const sorted = [...sentences].sort((a, b) => rank.get(b) - rank.get(a) || a.number - b.number);
  main.append(...sorted.map((one) => one.root));
}

function showChosen() {
  const seen = new Set([...$("shown").querySelectorAll(":checked")].map((box) => box.value));
  for (const utterance of sentences.flatMap((sentence) => sentence.utterances)) utterance.root.hidden = !seen.has(utterance.system);
}

for (const system of systems) {
  const box = Object.assign(document.createElement("input"), { type: "checkbox", value: system, checked: true });
  const label = document.createElement("label");
  label.append(box, system);
  $("shown").append(label);
  $("whose").append(new Option(system, system, system === chosen[0], system === chosen[0]));
}
$("order").addEventListener("change", arrange);
$("whose").addEventListener("change", arrange);
$("shown").addEventListener("change", showChosen);
$("controls").addEventListener("submit", (event) => event.preventDefault());
$("controls").hidden = false;
$("of").hidden = true;

// --- keys

// The sentence that keys are for: the one with the focus, else the one that sounds, else the first in sight.
function here() {
  const articles = [...main.children];
  return document.activeElement.closest("article")
    ?? sentences.find((one) => one.utterances.some((utterance) => utterance.track && utterance.track === current))?.root
    ?? articles.find((one) => one.getBoundingClientRect().bottom > 0);
}

function step(by) {
  const articles = [...main.children];
  const focused = document.activeElement.closest("article");
  const next = focused ? articles[articles.indexOf(focused) + by] : here();
  next?.focus({ preventScroll: true });
  next?.scrollIntoView({ block: "nearest" });
}

document.addEventListener("keydown", (event) => {
  const { key, target } = event;
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
  if (document.querySelector("dialog[open]") || target.closest("select, input")) return;
  if (key === "j" || key === "k") step(key === "j" ? 1 : -1);
  else if (/^[1-9]$/.test(key)) {
    const utterance = sentences.find((one) => one.root === here())?.utterances[Number(key) - 1];
    if (utterance?.track && !utterance.root.hidden) start(utterance.track);
  } else if (key === " " && current && !target.closest("button, summary")) {
    event.preventDefault();
    toggle(current);
  }
});
