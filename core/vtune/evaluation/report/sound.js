"use strict";
// What is heard. One element plays every track: so no two sound at once, and a page may hold any number of utterances (a
// browser refuses to open more than some 75 players).
const $ = (id) => document.getElementById(id);
const sound = new Audio();
let current = null; // the track that the element holds
let frame = 0;

class Track {
  constructor(address, seconds) {
    this.address = address;
    this.seconds = seconds;
    this.at = 0; // seconds
    this.show = () => {}; // called whenever it moves, starts or stops
  }
  get sounds() { return current === this && !sound.paused; }
}

function start(track, from = 0) {
  if (current !== track) {
    silence();
    current = track;
    sound.src = track.address;
  }
  track.at = sound.currentTime = from < track.seconds - 0.05 ? from : 0;
  sound.play().catch(() => {}); // the next start interrupts this one
  follow();
}

function toggle(track) {
  if (track.sounds) sound.pause(); else start(track, track.at);
}

function silence() {
  sound.pause();
  const former = current;
  current = null;
  if (former) {
    former.at = 0;
    former.show();
  }
}

function seek(track, to) {
  const at = Math.max(0, Math.min(track.seconds, to));
  if (track.sounds) return start(track, at);
  if (current === track) sound.currentTime = at; // a pause may still be on its way to follow, which asks the element
  track.at = at;
  track.show();
}

function follow() {
  cancelAnimationFrame(frame);
  if (!current) return;
  current.at = sound.ended ? 0 : sound.currentTime;
  current.show();
  if (!sound.paused) frame = requestAnimationFrame(follow);
}

for (const kind of ["play", "pause", "ended"]) sound.addEventListener(kind, follow);
