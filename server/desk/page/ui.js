// Small helpers for the document: elements, messages beside controls, remembered settings.

/** An element. props: attributes, `on…` listeners, `text`, `data` (an object), `style` (an object). */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (key === "text") element.textContent = value;
    else if (key === "data") Object.assign(element.dataset, value);
    else if (key === "style") for (const [n, v] of Object.entries(value)) element.style.setProperty(n, v);
    else if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

export const $ = (id) => document.getElementById(id);

/** Set an element's text where it is another one: nothing is laid out for nothing. */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** A setting that this browser keeps. Where it may not, it holds until the page is closed. */
export const kept = {
  get(name, otherwise) {
    try {
      return localStorage.getItem(`componium.${name}`) ?? otherwise;
    } catch {
      return otherwise;
    }
  },
  set(name, value) {
    try {
      localStorage.setItem(`componium.${name}`, value);
    } catch {
      // a private window
    }
  },
};

const fading = new WeakMap();

/** Say what is wrong beside the control that it concerns; "" takes it away. */
export function amiss(control, text) {
  const place = control.closest("[data-place]") ?? control.parentElement;
  if (!place) return;
  let told = place.querySelector(":scope > .amiss");
  clearTimeout(fading.get(place));
  if (!text) {
    told?.remove();
    return;
  }
  if (!told) {
    told = h("p", { class: "amiss", role: "alert" });
    place.append(told);
  }
  write(told, text);
  fading.set(place, setTimeout(() => told.remove(), 12_000));
}

/** Call a function with the newest arguments, at most so often; the last ones always count. */
export function throttled(ms, call) {
  let next = 0;
  let timer = null;
  let newest = [];
  return (...args) => {
    newest = args;
    const now = performance.now();
    if (timer !== null) return;
    const go = () => {
      timer = null;
      next = performance.now() + ms;
      call(...newest);
    };
    if (now >= next) go();
    else timer = setTimeout(go, next - now);
  };
}

/** One of several, as buttons. options: [value, label] each. */
export function choice(label, options, value, changed) {
  const group = h("div", { class: "choice", role: "radiogroup", "aria-label": label });
  const buttons = options.map(([each, name]) =>
    h("button", {
      type: "button",
      role: "radio",
      text: name,
      data: { value: each },
      onclick: () => {
        pick(each);
        changed(each);
      },
    }),
  );
  function pick(wanted) {
    for (const button of buttons) {
      const on = button.dataset.value === String(wanted);
      button.setAttribute("aria-checked", on);
      button.tabIndex = on ? 0 : -1;
    }
    if (!buttons.some((each) => each.tabIndex === 0) && buttons.length) buttons[0].tabIndex = 0;
  }
  group.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const at = buttons.indexOf(document.activeElement);
    const next = buttons[(at + step + buttons.length) % buttons.length];
    next.focus();
    next.click();
  });
  group.append(...buttons);
  pick(value);
  group.pick = pick;
  return group;
}
