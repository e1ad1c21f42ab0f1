// The page: asks the node for what is chosen, every second or less often, and shows it.

import "uplot/dist/uPlot.min.css";
import "./style.css";

import { type Analytics, Api, ApiError, type Stats } from "./api";
import { h, show } from "./dom";
import { Access } from "./sections/access";
import { Cluster } from "./sections/cluster";
import { Events } from "./sections/events";
import { Figures } from "./sections/figures";
import { Head } from "./sections/head";
import { Keys } from "./sections/keys";
import { Latency } from "./sections/latency";
import { Memory } from "./sections/memory";
import { Misses } from "./sections/misses";
import { Policies } from "./sections/policies";
import { PurgeForm } from "./sections/purge";
import { Routes } from "./sections/routes";
import { Traffic } from "./sections/traffic";
import { Warming } from "./sections/warming";
import { applyTheme, chosen, theme } from "./state";

/** How often to ask, by range: there is nothing new before a step has ended. */
const EVERY_MS = { "10m": 1000, "1h": 2000, "6h": 5000, "1d": 10_000, "7d": 30_000, "30d": 30_000 };
const STATS_EVERY_MS = 2000;
const OPERATIONS_EVERY_MS = 5000;
/** Shadows whose reports are asked for: each may cost the node some milliseconds. */
const REPORTS_MAX = 5;
const RETRY_MS_MAX = 15_000;

class Page {
  private readonly api = new Api();
  private readonly head = new Head((paused) => this.pause(paused));
  private readonly access = new Access(this.api, () => this.refresh());
  private readonly figures = new Figures();
  private readonly routes = new Routes();
  private readonly traffic = new Traffic();
  private readonly latency = new Latency();
  private readonly keys = new Keys();
  private readonly misses = new Misses();
  private readonly memory = new Memory();
  private readonly cluster = new Cluster();
  private readonly events = new Events();
  private readonly purge = new PurgeForm(this.api, () => this.refresh());
  private readonly policies = new Policies(this.api, () => this.operate());
  private readonly warming = new Warming(this.api, () => this.operate());
  private readonly content: HTMLElement;
  private asking: AbortController | null = null;
  private timer = 0;
  private paused = false;
  private failures = 0;
  private statsAt = Number.NEGATIVE_INFINITY;
  private stats: Stats | null = null;
  private shownAt: number | null = null;
  private operatedAt = Number.NEGATIVE_INFINITY;

  constructor(root: HTMLElement) {
    const happened = h("section", { id: "happened", "aria-labelledby": "happened-title" }, h("h2", { id: "happened-title" }, "What happened"), h("div", { class: "beside" }, this.events.element, this.purge.element));
    this.content = h(
      "div",
      { hidden: true },
      this.figures.element,
      this.routes.element,
      this.traffic.element,
      this.latency.element,
      this.misses.element,
      this.keys.element,
      happened,
      this.policies.element,
      this.warming.element,
      this.memory.element,
      this.cluster.element,
    );
    root.append(this.head.element, h("main", { id: "content", tabindex: "-1" }, this.access.element, this.content));
    addEventListener("chosen", () => {
      this.head.follow();
      this.refresh();
    });
    addEventListener("hashchange", () => {
      this.head.follow();
      this.refresh();
    });
    // Nobody looks: nothing is asked for.
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) {
        clearTimeout(this.timer);
      } else if (!this.paused) {
        this.refresh();
      }
    });
    this.head.say("waiting", "Asking the node …");
    this.refresh();
  }

  /** Asks now, whatever is under way. */
  private refresh(): void {
    clearTimeout(this.timer);
    this.asking?.abort();
    const asking = new AbortController();
    this.asking = asking;
    void this.ask(asking.signal);
  }

  private pause(paused: boolean): void {
    this.paused = paused;
    clearTimeout(this.timer);
    if (paused) {
      this.head.say("paused", "Paused");
    } else {
      this.refresh();
    }
  }

  private async ask(signal: AbortSignal): Promise<void> {
    const { range, ...filter } = chosen();
    const tokenGiven = this.api.token !== "";
    try {
      const wantsStats = performance.now() - this.statsAt >= STATS_EVERY_MS;
      const [analytics, stats] = await Promise.all([
        this.api.analytics(range, filter, signal),
        wantsStats ? this.api.stats(signal) : null,
      ]);
      if (signal.aborted) {
        return;
      }
      if (stats !== null) {
        this.statsAt = performance.now();
        this.stats = stats;
      }
      this.failures = 0;
      this.show(analytics, stats);
      if (performance.now() - this.operatedAt >= OPERATIONS_EVERY_MS) {
        this.operate();
      }
      this.again(EVERY_MS[range]);
    } catch (error) {
      if (signal.aborted) {
        return;
      }
      const failure = error instanceof ApiError ? error : new ApiError(-1, String(error));
      this.failures += 1;
      this.head.say("trouble", failure.status === 401 || failure.status === 403 ? "No access" : "No figures");
      if (this.access.fail(failure, tokenGiven, this.shownAt)) {
        this.again(Math.min(RETRY_MS_MAX, 1000 * 2 ** Math.min(this.failures, 4)), true);
      }
    }
  }

  /** Asks for policies, what is told of their shadows, and warming where the node does that. */
  private operate(): void {
    this.operatedAt = performance.now();
    const limit = AbortSignal.timeout(OPERATIONS_EVERY_MS);
    const policies = async (): Promise<void> => {
      const policies = await this.api.policies(limit);
      const shadows = (policies ?? []).filter(({ shadow }) => shadow !== null).slice(0, REPORTS_MAX);
      const reports = await Promise.all(shadows.map(async ({ name }) => [name, await this.api.shadow(name, limit)] as const));
      this.policies.update(policies, new Map(reports));
    };
    const warming = async (): Promise<void> => this.warming.update(this.stats?.warms ? await this.api.warming(limit) : null);
    for (const ask of [policies, warming]) {
      // What is shown stays, until the node answers again.
      ask().catch(() => undefined);
    }
  }

  private again(afterMs: number, always = false): void {
    if (!document.hidden && (always || !this.paused)) {
      this.timer = window.setTimeout(() => this.refresh(), afterMs);
    }
  }

  private show(analytics: Analytics, stats: Stats | null): void {
    this.access.clear();
    show(this.content, true);
    this.shownAt = analytics.now_ms;
    this.head.say(this.paused ? "paused" : "live", this.paused ? "Paused" : "Live");
    this.head.update(analytics, this.stats?.name ?? null);
    this.figures.update(analytics);
    this.routes.update(analytics);
    this.traffic.update(analytics);
    this.latency.update(analytics);
    this.misses.update(analytics);
    this.keys.update(analytics);
    this.cluster.updateNodes(analytics);
    this.events.update(analytics);
    this.memory.update(analytics);
    if (stats !== null) {
      this.memory.updateStore(stats);
      this.cluster.update(stats);
    }
  }
}

applyTheme(theme());
const root = document.getElementById("app");
if (root !== null) {
  new Page(root);
}
