// A blind comparison of two systems as data: what is played in which order, the votes, what they come to.
const QUESTIONS = {
  prefer: "Which one do you prefer?",
  natural: "Which one sounds more natural?",
  like: "Which one sounds more like the recording?",
};
const RECORDING = "recording";

function random(below) {
  return Math.floor(crypto.getRandomValues(new Uint32Array(1))[0] / 2 ** 32 * below);
}

function shuffled(list) {
  const mixed = [...list];
  for (let last = mixed.length - 1; last > 0; last--) {
    const other = random(last + 1);
    [mixed[last], mixed[other]] = [mixed[other], mixed[last]];
  }
  return mixed;
}

// What can be compared of a sentence: utterances of the same seed; a recording has none and goes with any.
function pairs(sentence, [first, second], question) {
  const heard = sentence.utterances.filter((utterance) => utterance.track);
  if (question === "like" && !heard.some((utterance) => utterance.system === RECORDING)) return [];
  const of = (system) => heard.filter((utterance) => utterance.system === system);
  return of(first).flatMap((one) => of(second).map((two) => [one, two]))
    .filter(([one, two]) => one.seed === two.seed || one.seed === null || two.seed === null);
}

// Sentences in random order, every one once before any comes again with another seed; sides are random too.
function begin(both, question, listener) {
  const mixed = shuffled(sentences).map((sentence) => ({ sentence, pairs: shuffled(pairs(sentence, both, question)) }));
  const trials = [];
  for (let round = 0; mixed.some((one) => one.pairs.length > round); round++) {
    for (const { sentence, pairs } of round ? shuffled(mixed) : mixed) {
      if (pairs.length <= round) continue;
      const sides = (random(2) ? [...pairs[round]].reverse() : pairs[round]).map(({ system, seed }) => ({ system, seed }));
      trials.push({ number: sentence.number, sides, vote: null, plays: [0, 0, 0], seconds: 0, time: null });
    }
  }
  return { question, systems: both, listener, started: new Date().toISOString(), ended: null, at: 0, trials };
}

function utteranceOf(number, system, seed) {
  return sentences.find((one) => one.number === number).utterances.find((one) => one.system === system && one.seed === seed);
}

// The system that a vote is for; null for no difference.
function preferred(trial) {
  return trial.vote === "=" ? null : trial.sides[trial.vote === "a" ? 0 : 1].system;
}

function outcome(session) {
  const votes = session.trials.filter((trial) => trial.vote);
  const wins = session.systems.map((system) => votes.filter((trial) => preferred(trial) === system).length);
  const decided = wins[0] + wins[1];
  const p = decided ? signTest(wins[0], decided) : 1;
  return {
    votes: votes.length, wins, decided, ties: votes.length - decided, p, significant: p < 0.05,
    share: decided ? wins[0] / decided : null, interval: decided ? shareInterval(wins[0], decided) : null,
  };
}

// What is downloaded: enough to see what was heard and to count anew.
function record(session) {
  const { votes, wins, ties, decided, share, interval, p, significant } = outcome(session);
  const [first, second] = session.systems;
  return {
    version: 1, kind: "blind comparison", title: document.querySelector("h1").textContent, page: main.dataset.page,
    listener: session.listener, question: QUESTIONS[session.question], systems: session.systems,
    started: session.started, ended: session.ended, planned: session.trials.length,
    votes: session.trials.filter((trial) => trial.vote).map((trial) => ({
      text: sentences.find((one) => one.number === trial.number).text, a: trial.sides[0], b: trial.sides[1],
      vote: trial.vote, preferred: preferred(trial),
      plays: { a: trial.plays[0], b: trial.plays[1], recording: trial.plays[2] },
      seconds: Math.round(trial.seconds * 10) / 10, time: trial.time,
    })),
    result: { votes, preferred: [[first, wins[0]], [second, wins[1]]].map(([system, count]) => ({ system, count })),
      ties, decided, share, interval, p, significant },
  };
}

// --- votes survive a reload where the browser lets a page from disk keep anything, else as long as the page is open

const sessions = new Map();

function kept(both, question) {
  const key = keyOf(both, question);
  if (sessions.has(key)) return sessions.get(key);
  try {
    return JSON.parse(localStorage.getItem(key));
  } catch {
    return null;
  }
}

function keep(session) {
  const key = keyOf(session.systems, session.question);
  sessions.set(key, session);
  try {
    localStorage.setItem(key, JSON.stringify(session));
  } catch { /* forbidden, or full */ }
}

// Of every page from disk: a browser may keep them all in one place.
function keyOf(both, question) {
  return `vtune votes 1 ${main.dataset.page} ${JSON.stringify([question, ...[...both].sort()])}`;
}
