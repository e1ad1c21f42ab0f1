// This node, and the workers that follow its purge log: how far behind each is.

import type { Analytics, Stats, Worker } from "../api";
import { h, List, setAttribute, setText, show } from "../dom";
import { count, plural, span } from "../format";

interface Row {
  worker: Worker;
  stats: Stats;
}

export class Cluster {
  readonly element: HTMLElement;
  private readonly node = h("p", { "data-figure": "node" });
  private readonly nodes = h("p", { class: "note", "data-figure": "nodes" });
  private readonly summary = h("p", { "data-figure": "workers" });
  private readonly table: HTMLTableElement;
  private readonly rows: List<Row>;

  constructor() {
    const body = h("tbody");
    const head = h("tr", {}, ...["Worker", "State", "Purges behind", "Heard"].map((name, index) => h("th", { scope: "col", class: index > 1 ? "number" : "" }, name)));
    this.table = h("table", { class: "stack" }, h("thead", {}, head), body);
    this.rows = new List<Row>(body, ({ worker }) => worker.name, row);
    this.element = h("section", { id: "cluster", "aria-labelledby": "cluster-title" }, h("h2", { id: "cluster-title" }, "Node and workers"), this.node, this.nodes, this.summary, this.table);
  }

  /** Whose reports are in the figures. */
  updateNodes({ nodes }: Analytics): void {
    show(this.nodes, nodes.length > 1);
    setText(this.nodes, `Figures of requests are what workers report to ${plural(nodes.length, "node")}: ${nodes.join(", ")}. Store, purge log and workers below are this node's own.`);
  }

  update(stats: Stats): void {
    const { name, version, store, log, workers } = stats;
    setText(this.node, `Node ${name}, Larder ${version}. Store: ${store.kind}. Purge log: ${log.kind}, ${plural(log.sequence, "purge")} so far.`);
    const silent = workers.filter(({ silent }) => silent).length;
    const late = workers.filter((worker) => !worker.silent && behind(worker, stats) > 0).length;
    const said =
      workers.length === 0
        ? "No worker follows this node's purge log."
        : late === 0
          ? `${plural(workers.length - silent, "worker")} up to date${silent === 0 ? "" : `, ${count(silent)} silent`}.`
          : `${plural(late, "worker")} behind the purge log, of ${count(workers.length)}.`;
    setText(this.summary, said);
    this.rows.update(workers.map((worker) => ({ worker, stats })));
    show(this.table, workers.length > 0);
  }
}

/** Purges that a worker has not confirmed; all of them, where it follows another log. */
export function behind(worker: Worker, { log }: Stats): number {
  return worker.log === log.id ? Math.max(0, log.sequence - worker.sequence) : log.sequence;
}

function row({ worker }: Row): { element: HTMLElement; update: (row: Row) => void } {
  const state = h("td", { class: "state", "data-label": "State" });
  const lag = h("td", { class: "number", "data-label": "Purges behind" });
  const heard = h("td", { class: "number", "data-label": "Heard" });
  const element = h("tr", { "data-worker": worker.name }, h("th", { scope: "row", class: "name" }, worker.name), state, lag, heard);
  return {
    element,
    update: ({ worker, stats }) => {
      const number = behind(worker, stats);
      setText(state, worker.silent ? "Silent: it uses nothing of its own memory" : number > 0 ? "Behind" : "Up to date");
      setAttribute(element, "data-state", worker.silent ? "no_requests" : number > 0 ? "missed" : "met");
      setText(lag, count(number));
      setText(heard, worker.polling ? "listening" : `${span(worker.heard_ms_ago)} ago`);
    },
  };
}
