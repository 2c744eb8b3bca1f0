// Faders under a thumb: a swipe that scrolls leaves them as they are, a drag begins from where they stand.

const SLIP = 8; // px along the fader from which on it is a drag

/** Watch over every fader of a document. Where a finger only taps, and for mouse and keys, all is as it always was. */
export function steady(document) {
  let held = null;

  const fader = (event) => event.target.matches?.("input[type=range]") && event.target;

  document.addEventListener(
    "pointerdown",
    (event) => {
      held = null;
      const input = fader(event);
      if (!input || event.pointerType !== "touch" || event.defaultPrevented) return;
      held = { input, id: event.pointerId, x: event.clientX, y: event.clientY, from: input.valueAsNumber, value: input.value, drags: false };
    },
    true,
  );

  document.addEventListener(
    "pointermove",
    (event) => {
      if (held?.id !== event.pointerId) return;
      const { input } = held;
      const [along, across] = [event.clientX - held.x, event.clientY - held.y];
      if (!held.drags) {
        if (Math.abs(along) < SLIP || Math.abs(along) < Math.abs(across)) return;
        held.drags = true;
        held.x = event.clientX; // from here on: no jump
        return;
      }
      const reach = (Number(input.max) - Number(input.min)) / Math.max(input.clientWidth, 1);
      input.value = held.from + along * reach;
      held.value = input.value;
      input.dispatchEvent(new Event("input", { bubbles: true }));
    },
    true,
  );

  // What the browser makes of the finger's place meanwhile does not count.
  document.addEventListener(
    "input",
    (event) => {
      if (!held || !event.isTrusted || event.target !== held.input) return;
      held.input.value = held.value;
      event.stopImmediatePropagation();
    },
    true,
  );

  const end = (event) => {
    if (held?.id !== event.pointerId) return;
    const { input, value, drags } = held;
    if (drags || event.type === "pointercancel") input.value = value;
    held = null;
  };
  for (const type of ["pointerup", "pointercancel"]) document.addEventListener(type, end, true);
}
