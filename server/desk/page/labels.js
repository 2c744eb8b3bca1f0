// Labels: names beside their points, as on a map: none over another, none struck through.

const NEAR = 18; // px from a point to the middle of the line above or below it
const TALL = 20; // px of a line
const TRIES = 16; // labels that may choose first

const overlap = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
const around = (x, y, wide, tall) => ({ left: x - wide / 2, right: x + wide / 2, top: y - tall / 2, bottom: y + tall / 2 });

/**
 * Where the middle of each label goes, as [x, y] in pixels.
 * points: { x, y, wide } each, wide being the width of its text.
 * taken: { left, right, top, bottom } of what else is there, with a cost where it is not the usual one.
 * Each label takes the best place that those before it have left; who is first is tried out.
 */
export function placed(points, width, height, taken = []) {
  const stars = points.map(({ x, y }) => ({ ...around(x, y, 16, 16), cost: 5 })); // no label may seem another's
  const inOrder = (order) => {
    const there = [...taken];
    const at = [];
    let total = 0;
    for (const own of order) {
      const { x, y, wide } = points[own];
      const side = wide / 2 + 8;
      const places = [
        [0, -NEAR], [0, NEAR], [side, -13], [-side, -13], [side, 13], [-side, 13], [side + 4, 0], [-side - 4, 0],
        [0, -NEAR - TALL - 2], [0, NEAR + TALL + 2],
      ]; // prettier-ignore
      let best = null;
      places.forEach(([dx, dy], nth) => {
        const box = around(x + dx, y + dy, wide + 4, TALL);
        const beyond = Math.max(-box.left, box.right - width, -box.top, box.bottom - height, 0);
        const met = [...there, ...stars.filter((_, star) => star !== own)].filter((each) => overlap(box, each));
        const cost = met.reduce((sum, each) => sum + (each.cost ?? 8), nth / 10 + 2 * beyond);
        if (!best || cost < best.cost) best = { cost, box, to: [x + dx, y + dy] };
      });
      there.push({ ...best.box, cost: 30 });
      at[own] = best.to;
      total += best.cost;
    }
    return { at, total };
  };
  const all = points.map((_, nth) => nth);
  const orders = [all, ...all.slice(0, TRIES).map((first) => [first, ...all.filter((each) => each !== first)])];
  return orders.map(inOrder).reduce((best, each) => (each.total < best.total ? each : best)).at;
}
