// What the votes come to, and who was who.
const LEAST = 6; // decided votes: five that all agree have p = 0.0625

function percent(share) {
  return `${Math.round(100 * share)} %`;
}

function showResult() {
  silence();
  stage("result");
  const { votes, wins, ties, decided, share, interval, p, significant } = outcome(session);
  const [first, second] = session.systems;
  const leads = wins[0] === wins[1] ? null : wins[0] > wins[1] ? 0 : 1;
  $("blind-headline").textContent = !decided ? "No vote for either"
    : leads === null ? `${first} and ${second}: ${wins[0]} votes each`
    : `${session.systems[leads]} preferred in ${wins[leads]} of ${decided} decided votes (${percent(wins[leads] / decided)})`;
  const parts = [[first, wins[0], "first"], ["no difference", ties, "ties"], [second, wins[1], "second"]];
  $("blind-bar").replaceChildren(...parts.map(([, count, className]) => {
    const part = Object.assign(document.createElement("span"), { className });
    part.style.flexGrow = count;
    return part;
  }));
  $("blind-counts").replaceChildren(...parts.map(([name, count, className]) => (
    Object.assign(document.createElement("li"), { className, textContent: `${name}: ${count}` })
  )));
  $("blind-verdict").textContent = !decided ? "Nothing can be tested."
    : `This is ${significant ? "" : "not "}significant at 5 % (two-sided exact sign test, ${shownP(p)}).`;
  $("blind-test").textContent = decided ? told(share, interval, p, decided) : "";
  const several = new Set(session.trials.map((trial) => trial.number)).size < session.trials.length;
  $("blind-caution").textContent = [
    `${votes} of ${session.trials.length} pairs were voted on; the question was: ${QUESTIONS[session.question]}`,
    several ? "The test treats votes as independent; those on utterances of one sentence are less so." : "",
    "It speaks for these sentences and this listener.",
  ].filter(Boolean).join(" ");
  $("blind-votes").replaceChildren(...session.trials.filter((trial) => trial.vote).map(row));
  $("blind-result").focus();
}

function shownP(p) {
  return p < 0.001 ? "p < 0.001" : `p = ${p.toFixed(3)}`;
}

function told(share, interval, p, decided) {
  const often = p < 0.01 ? "in less than 1 %" : `in ${percent(p)}`;
  return `Two systems that are alike get votes as one-sided as these, or more so, ${often} of such comparisons. `
    + `${session.systems[0]} has ${percent(share)} of the decided votes (95 % interval: ${percent(interval[0])} to `
    + `${percent(interval[1])}).${decided < LEAST ? ` Fewer than ${LEAST} decided votes cannot be significant.` : ""}`;
}

function row(trial) {
  const cells = document.createElement("tr");
  const name = document.createElement("th");
  name.scope = "row";
  const link = Object.assign(document.createElement("a"), {
    href: `#sentence-${trial.number}`, textContent: sentences.find((one) => one.number === trial.number).text, dir: "auto",
  });
  link.addEventListener("click", () => dialog.close());
  name.append(link);
  cells.append(name);
  const who = ({ system, seed }) => utteranceOf(trial.number, system, seed).root.getAttribute("aria-label");
  for (const text of [...trial.sides.map(who), preferred(trial) ?? "no difference"]) cells.insertCell().textContent = text;
  return cells;
}

function download() {
  const file = new Blob([JSON.stringify(record(session), null, 2)], { type: "application/json" });
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(file), download: nameOfFile() });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

function nameOfFile() {
  const parts = ["votes", document.querySelector("h1").textContent, ...session.systems, session.listener];
  return `${parts.filter(Boolean).map((part) => part.replace(/[^\p{L}\p{N}]+/gu, "-")).join("_")}.json`;
}
