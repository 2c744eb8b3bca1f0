// Labels: names beside their points, as on a map: none over another, none struck through.

const NEAR = 18; // px from a point to the middle of the line above or below it
const TALL = 20; // px of a line

const overlap = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
const around = (x, y, wide, tall) => ({ left: x - wide / 2, right: x + wide / 2, top: y - tall / 2, bottom: y + tall / 2 });

/**
 * Where the middle of each label goes, as [x, y] in pixels.
 * points: { x, y, wide } each, wide being the width of its text.
 * taken: { left, right, top, bottom } of what else is there, with a cost where it is not the usual one.
 */
export function placed(points, width, height, taken = []) {
  const there = [...taken];
  const stars = points.map(({ x, y }) => ({ ...around(x, y, 16, 16), cost: 5 })); // no label may seem another's
  return points.map(({ x, y, wide }, own) => {
    const side = wide / 2 + 6;
    const places = [
      [0, -NEAR], [0, NEAR], [side, -12], [-side, -12], [side, 12], [-side, 12], [side + 4, 0], [-side - 4, 0],
      [0, -2 * NEAR], [0, 2 * NEAR],
    ]; // prettier-ignore
    let best = null;
    places.forEach(([dx, dy], nth) => {
      const box = around(x + dx, y + dy, wide + 4, TALL);
      const beyond = Math.max(-box.left, box.right - width, -box.top, box.bottom - height, 0);
      const met = [...there, ...stars.filter((_, star) => star !== own)].filter((each) => overlap(box, each));
      const cost = met.reduce((sum, each) => sum + (each.cost ?? 8), nth / 10 + beyond);
      if (!best || cost < best.cost) best = { cost, box, at: [x + dx, y + dy] };
    });
    there.push(best.box);
    return best.at;
  });
}
