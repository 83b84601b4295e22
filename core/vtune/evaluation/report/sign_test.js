// Is a preference more than chance? Exact, for votes that are independent of each other.

// Chance that at most `count` of `all` votes go one way, where each does so with `chance`.
function atMost(count, all, chance) {
  if (count < 0) return 0;
  if (count >= all) return 1;
  if (chance <= 0 || chance >= 1) return chance <= 0 ? 1 : 0;
  let ways = 0, sum = 0; // `ways` is the logarithm: 1100 votes have more of them than a number can hold
  for (let k = 0; k <= count; k++) {
    sum += Math.exp(ways + k * Math.log(chance) + (all - k) * Math.log(1 - chance));
    ways += Math.log((all - k) / (k + 1));
  }
  return Math.min(1, sum);
}

// Two-sided p value of the sign test: how often votes of chance alone are this one-sided, or more.
function signTest(wins, all) {
  return Math.min(1, 2 * atMost(Math.min(wins, all - wins), all, 0.5));
}

// The 95 % interval of Clopper and Pearson for the share of votes that go one way.
function shareInterval(wins, all) {
  const edge = (isBelow) => {
    let [low, high] = [0, 1];
    for (let round = 0; round < 60; round++) {
      const middle = (low + high) / 2;
      if (isBelow(middle)) low = middle; else high = middle;
    }
    return (low + high) / 2;
  };
  return [
    wins === 0 ? 0 : edge((share) => 1 - atMost(wins - 1, all, share) < 0.025),
    wins === all ? 1 : edge((share) => atMost(wins, all, share) > 0.025),
  ];
}
