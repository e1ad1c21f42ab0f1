// What is stored, how full it is, and what had to go.

import type { Analytics, Stats } from "../api";
import { Chart } from "../charts/chart";
import { newest, sum, times, values } from "../charts/series";
import { h, setText, show } from "../dom";
import { bytes, percent, plural } from "../format";

const LINES = [
  { gauge: "larder_node_store_bytes;where=memory", label: "Store, memory", color: "--hit" },
  { gauge: "larder_node_store_bytes;where=disk", label: "Store, disk", color: "--revalidated" },
  { gauge: "larder_l1_bytes", label: "Workers' own memory", color: "--not-stored" },
];

export class Memory {
  readonly element: HTMLElement;
  private readonly chart = new Chart({ id: "chart-memory", title: "Bytes stored", format: bytes, increments: powersOfTwo() });
  private readonly fills: Record<"memory" | "disk", Fill> = { memory: fill("Store, memory"), disk: fill("Store, disk") };
  private readonly workers = h("p");
  private readonly evictions = h("p", { "data-figure": "evictions" });

  constructor() {
    this.element = h(
      "section",
      { id: "memory", "aria-labelledby": "memory-title" },
      h("h2", { id: "memory-title" }, "Memory and evictions"),
      h("div", { class: "fills" }, this.fills.memory.element, this.fills.disk.element),
      this.workers,
      this.evictions,
      this.chart.element,
    );
  }

  update(analytics: Analytics): void {
    const lines = LINES.filter(({ gauge }) => gauge in analytics.gauges).map(({ gauge, label, color }) => {
      const held = analytics.gauges[gauge] ?? [];
      return { label, color, values: values(analytics, (index) => held[index] ?? null) };
    });
    const marks = analytics.marks.filter(({ kind }) => kind === "start" || kind === "stop" || kind === "warm");
    const stored = newest(analytics, "larder_node_store_bytes;where=memory") ?? newest(analytics, "larder_node_store_bytes;where=disk");
    const summary = stored === null ? "What the store holds is not known to the node" : `${bytes(stored)} in the store now`;
    this.chart.update({ times: times(analytics), stepMs: analytics.step_ms, lines, marks, summary });
    const [own, keys] = [newest(analytics, "larder_l1_bytes"), newest(analytics, "larder_l1_keys")];
    setText(this.workers, own === null ? "Workers have not reported what they hold themselves." : `Workers hold ${bytes(own)}${keys === null ? "" : ` under ${plural(keys, "key")}`} in their own memory.`);
    const gone = sum(analytics.node["larder_node_store_evictions_total"]);
    setText(this.evictions, gone === 0 ? "Nothing was evicted in this range." : `${plural(gone, "value")} evicted in this range because space was short: give the store more room, or store less.`);
  }

  updateStore({ store }: Stats): void {
    this.fills.memory.update(store.memory_bytes, store.memory_bytes_max, store.items);
    this.fills.disk.update(store.disk_bytes, store.disk_bytes_max, store.memory_bytes === null ? store.items : null);
  }
}

interface Fill {
  element: HTMLElement;
  update: (used: number | null, max: number | null, items: number | null) => void;
}

function fill(name: string): Fill {
  const text = h("span", {});
  const bar = h("span", { class: "bar-fill" });
  const element = h("p", { class: "fill", hidden: true }, h("strong", {}, name), " ", text, h("span", { class: "bar", "aria-hidden": "true" }, bar));
  return {
    element,
    update: (used, max, items) => {
      show(element, used !== null);
      if (used === null) {
        return;
      }
      const of = max === null || max === 0 ? "" : ` of ${bytes(max)} (${percent(used / max)})`;
      setText(text, `${bytes(used)}${of}${items === null ? "" : `, ${plural(items, "value")}`}`);
      bar.style.width = `${max === null || max === 0 ? 0 : Math.min(100, (used / max) * 100)}%`;
    },
  };
}

function powersOfTwo(): number[] {
  return Array.from({ length: 50 }, (_, exponent) => 2 ** exponent);
}

