// What the server has told: values by address, the tree behind them, and who wants to know.

import { ask } from "./link.js";

export class Store {
  constructor() {
    this.values = new Map();
    this.watchers = new Map();
    this.nodes = new Map(); // of OSCQuery, by address
    this.scene = null;
  }

  /** The first value of an address, or otherwise. */
  get(address, otherwise) {
    return this.values.get(address)?.[0] ?? otherwise;
  }

  take(values) {
    for (const [address, value] of Object.entries(values)) {
      this.values.set(address, value);
      for (const watcher of this.watchers.get(address) ?? []) watcher(...value);
    }
  }

  /** Call a function with the values of an address, now and whenever they change. */
  watch(address, watcher) {
    if (!this.watchers.has(address)) this.watchers.set(address, new Set());
    this.watchers.get(address).add(watcher);
    const value = this.values.get(address);
    if (value) watcher(...value);
    return () => this.watchers.get(address)?.delete(watcher);
  }

  /** Read the tree anew: what there is, and what may be asked for by name. */
  async survey() {
    const tree = await ask("/componium");
    if (!tree) return;
    const nodes = new Map();
    const walk = (node) => {
      nodes.set(node.FULL_PATH, node);
      for (const inner of Object.values(node.CONTENTS ?? {})) walk(inner);
    };
    walk(tree);
    this.nodes = nodes;
  }

  /** The names that the first argument of an address may have. */
  names(address) {
    return this.nodes.get(address)?.RANGE?.[0]?.VALS ?? [];
  }
}
