// The dialog of a blind comparison: what is compared, then one trial after the other.
const dialog = $("blind");
const sides = [...dialog.querySelectorAll(".side")];
let session = null;
let tracks = []; // of the trial: A, B and perhaps the recording; new ones, so that nothing on the page moves with them
let began = 0;

function stage(name) {
  for (const one of ["setup", "trial", "result"]) $(`blind-${one}`).hidden = one !== name;
}

// --- setup

function showSetup() {
  silence();
  session = null;
  stage("setup");
  const both = [$("blind-first").value, $("blind-second").value];
  const question = $("blind-question");
  for (const option of question.options) {
    option.disabled = option.value === "like" && (both.includes(RECORDING) || !systems.includes(RECORDING));
  }
  if (question.selectedOptions[0].disabled) question.value = "prefer";
  const count = both[0] === both[1] ? 0
    : sentences.reduce((sum, sentence) => sum + pairs(sentence, both, question.value).length, 0);
  const found = kept(both, question.value);
  const votes = found ? found.trials.filter((trial) => trial.vote).length : 0;
  $("blind-amount").textContent = [
    both[0] === both[1] ? "Choose two that differ." : count === 1 ? "1 pair to vote on." : `${count} pairs to vote on.`,
    count > 0 && count < LEAST ? `Fewer than ${LEAST} decided votes cannot be significant at 5 %, whatever they say.` : "",
    found?.ended ? "You have voted on them." : votes ? `You have voted on ${votes} of them.` : "",
  ].filter(Boolean).join(" ");
  $("blind-begin").disabled = !count;
  $("blind-begin").textContent = found ? "Start over" : "Begin";
  $("blind-begin").classList.toggle("main", !found);
  $("blind-resume").hidden = !found;
  $("blind-resume").textContent = found?.ended ? "Show the result" : "Go on";
}

function enter(one) {
  session = one;
  if (session.ended) showResult(); else showTrial();
}

// --- a trial

function showTrial() {
  silence();
  stage("trial");
  const trial = session.trials[session.at];
  const asked = trial.sides.map(({ system, seed }) => utteranceOf(trial.number, system, seed));
  if (session.question === "like") asked.push(utteranceOf(trial.number, RECORDING, null));
  tracks = asked.map(({ track }) => new Track(track.address, track.seconds));
  sides[2].hidden = tracks.length < 3;
  tracks.forEach((track, side) => {
    track.show = () => {
      sides[side].classList.toggle("on", track.sounds);
      sides[side].classList.toggle("done", trial.plays[side] > 0);
      sides[side].querySelector("i").style.width = `${100 * Math.min(1, track.at / track.seconds)}%`;
    };
    track.show();
  });
  $("blind-count").textContent = `${session.at + 1} of ${session.trials.length}`;
  $("blind-progress").max = session.trials.length;
  $("blind-progress").value = session.trials.filter((one) => one.vote).length;
  $("blind-text").textContent = sentences.find((one) => one.number === trial.number).text;
  $("blind-asked").textContent = QUESTIONS[session.question];
  for (const button of dialog.querySelectorAll("[data-vote]")) {
    button.setAttribute("aria-pressed", button.dataset.vote === trial.vote);
  }
  $("blind-back").disabled = session.at === 0;
  $("blind-end").hidden = !session.trials.some((one) => one.vote);
  $("blind-said").textContent = "";
  began = performance.now();
}

function play(side) {
  if (!tracks[side]) return;
  session.trials[session.at].plays[side] += 1;
  start(tracks[side]);
  $("blind-said").textContent = "";
  keep(session);
}

function vote(choice) {
  const trial = session.trials[session.at];
  if (!trial.plays[0] || !trial.plays[1]) {
    $("blind-said").textContent = "Listen to both first.";
    return;
  }
  trial.vote = choice;
  trial.time = new Date().toISOString();
  trial.seconds += (performance.now() - began) / 1000;
  const left = session.trials.findIndex((one) => !one.vote);
  if (left < 0) return end();
  session.at = session.at + 1 < session.trials.length ? session.at + 1 : left;
  keep(session);
  showTrial();
}

function back() {
  if (!session.at) return;
  session.trials[session.at].seconds += (performance.now() - began) / 1000;
  session.at -= 1;
  keep(session);
  showTrial();
}

function end() {
  session.ended = new Date().toISOString();
  keep(session);
  showResult();
}

// --- what buttons and keys do

if (sentences.some((sentence) => pairs(sentence, chosen, "prefer").length)) {
  $("blind-open").hidden = false;
  for (const [place, select] of [$("blind-first"), $("blind-second")].entries()) {
    for (const system of systems) select.append(new Option(system, system, false, system === chosen[place]));
  }
}
for (const [name, text] of Object.entries(QUESTIONS)) $("blind-question").append(new Option(text, name));
for (const name of ["first", "second", "question"]) $(`blind-${name}`).addEventListener("change", showSetup);

const listener = () => $("blind-listener").value.trim();
const setting = () => [[$("blind-first").value, $("blind-second").value], $("blind-question").value];
$("blind-open").addEventListener("click", () => { showSetup(); dialog.showModal(); });
$("blind-close").addEventListener("click", () => dialog.close());
dialog.addEventListener("close", silence);
$("blind-begin").addEventListener("click", () => {
  if (kept(...setting()) && !confirm("Votes that you gave on this are lost. Start over?")) return;
  const one = begin(...setting(), listener());
  keep(one);
  enter(one);
});
$("blind-resume").addEventListener("click", () => {
  const one = kept(...setting());
  enter({ ...one, listener: listener() || one.listener });
});
$("blind-back").addEventListener("click", back);
$("blind-end").addEventListener("click", end);
$("blind-again").addEventListener("click", showSetup);
$("blind-download").addEventListener("click", download);
sides.forEach((button, side) => button.addEventListener("click", () => play(side)));
for (const button of dialog.querySelectorAll("[data-vote]")) {
  button.addEventListener("click", () => vote(button.dataset.vote));
}

// Of the whole page: a click beside the buttons takes the focus out of the dialog.
document.addEventListener("keydown", (event) => {
  const { key, target } = event;
  if (!dialog.open || $("blind-trial").hidden || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  if (/^[123]$/.test(key)) play(Number(key) - 1);
  else if (["a", "b", "="].includes(key.toLowerCase())) vote(key.toLowerCase());
  else if (key === "Backspace" || key === "ArrowLeft") back();
  else if (key === " " && current && !target.closest("button")) toggle(current);
  else return;
  event.preventDefault();
});
