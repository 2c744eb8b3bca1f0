// Labels: names beside their points, as on a map: none over another, none struck through.

const NEAR = 18; // px from a point to the middle of the line above or below it
const TALL = 20; // px of a line
const TRIES = 16; // labels that may choose first
const ROUNDS = 2; // in which each may choose anew, among all others

const overlap = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
const around = (x, y, wide, tall) => ({ left: x - wide / 2, right: x + wide / 2, top: y - tall / 2, bottom: y + tall / 2 });

/**
 * Where the middle of each label goes, as [x, y] in pixels.
 * points: { x, y, wide } each, wide being the width of its text.
 * taken: { left, right, top, bottom } of what else is there, with a cost where it is not the usual one.
 * scale: of the text, 1 for lines of 20 pixels.
 * Each label takes the best place that the others have left; who is first is tried out.
 */
export function placed(points, width, height, taken = [], scale = 1) {
  const [near, tall] = [NEAR * scale, TALL * scale];
  const stars = points.map(({ x, y }) => ({ ...around(x, y, 16 * scale, 16 * scale), cost: 5 })); // no label may seem another's
  const there = points.map((_, own) => [...taken, ...stars.filter((_, star) => star !== own)]);
  const choices = points.map(({ x, y, wide }, own) => {
    const side = wide / 2 + 8;
    const places = [
      [0, -near], [0, near], [side, -0.72 * near], [-side, -0.72 * near], [side, 0.72 * near], [-side, 0.72 * near],
      [side + 4, 0], [-side - 4, 0], [side / 2, -near], [-side / 2, -near], [side / 2, near], [-side / 2, near],
      [0, -near - tall - 2], [0, near + tall + 2],
    ]; // prettier-ignore
    return places.map(([dx, dy], nth) => {
      const box = around(x + dx, y + dy, wide + 4, tall);
      const beyond = Math.max(-box.left, box.right - width, -box.top, box.bottom - height, 0);
      const met = there[own].filter((each) => overlap(box, each));
      return { box, to: [x + dx, y + dy], cost: met.reduce((sum, each) => sum + (each.cost ?? 8), nth / 10 + 2 * beyond) };
    });
  });
  const inOrder = (order) => {
    const chosen = [];
    let total = 0;
    for (let round = 0; round <= ROUNDS; round++) {
      total = 0;
      for (const own of order) {
        const others = chosen.filter((_, nth) => nth !== own);
        let [best, least] = [null, Infinity];
        for (const place of choices[own]) {
          const cost = place.cost + 30 * others.filter(({ box }) => overlap(place.box, box)).length;
          if (cost < least) [best, least] = [place, cost];
        }
        chosen[own] = best;
        total += least;
      }
    }
    return { at: chosen.map(({ to }) => to), total };
  };
  const all = points.map((_, nth) => nth);
  const orders = [all, ...all.slice(0, TRIES).map((first) => [first, ...all.filter((each) => each !== first)])];
  return orders.map(inOrder).reduce((best, each) => (each.total < best.total ? each : best)).at;
}
