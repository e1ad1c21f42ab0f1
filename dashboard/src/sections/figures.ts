// The few figures that say how it goes, each with a sentence on what it means.

import type { Analytics } from "../api";
import { h, setAttribute, setText } from "../dom";
import { bytes, count, percent, plural, points, rate } from "../format";

interface Figure {
  id: string;
  name: () => string;
  value: (analytics: Analytics) => string;
  note: (analytics: Analytics) => string;
  /** How it stands, where that can be said: good, close or bad. */
  state?: (analytics: Analytics) => string | null;
}

const FIGURES: Figure[] = [
  {
    id: "hit-ratio",
    name: () => "Hit ratio",
    value: ({ totals }) => percent(totals.hit_ratio),
    note: targets,
    state: targetState,
  },
  {
    id: "byte-hit-ratio",
    name: () => "Byte hit ratio",
    value: ({ totals }) => percent(totals.byte_hit_ratio),
    note: ({ totals }) =>
      totals.byte_hit_ratio === null
        ? "No body was sent"
        : `${bytes(totals.bytes_from_store)} came from a store, ${bytes(totals.bytes_from_origin)} from the origin`,
  },
  {
    id: "avoided",
    name: () => "Origin requests avoided",
    value: ({ totals }) => count(totals.origin_requests_avoided),
    note: ({ totals }) =>
      `The origin got ${count(totals.origin_requests)}, ${count(totals.refreshes)} of them refreshes in the background`,
  },
  {
    id: "requests",
    name: () => "Requests",
    value: ({ totals }) => count(all(totals.outcomes)),
    note: (analytics) => {
      const { totals } = analytics;
      const held = Math.max(analytics.from_ms, analytics.held_from_ms ?? analytics.now_ms);
      const seconds = Math.max(1, (analytics.now_ms - held) / 1000);
      return `${rate(all(totals.outcomes) / seconds)}; ${count(totals.bypassed)} passed the cache by; ${count(totals.not_modified)} answered with 304`;
    },
  },
];

export class Figures {
  readonly element = h("dl", { class: "figures" });
  private readonly shown: { figure: Figure; value: HTMLElement; note: HTMLElement; box: HTMLElement }[] = [];

  constructor() {
    for (const figure of FIGURES) {
      const value = h("dd", { class: "figure-value", "data-figure": figure.id }, "–");
      const note = h("dd", { class: "figure-note" });
      const name = h("dt", {}, figure.name());
      const box = h("div", {}, name, value, note);
      this.element.append(box);
      this.shown.push({ figure, value, note, box });
    }
  }

  update(analytics: Analytics): void {
    for (const { figure, value, note, box } of this.shown) {
      setText(value, figure.value(analytics));
      setText(note, figure.note(analytics));
      setAttribute(box, "data-state", figure.state?.(analytics) ?? null);
    }
  }
}

function all(outcomes: Record<string, number>): number {
  return Object.values(outcomes).reduce((sum, number) => sum + number, 0);
}

/** How routes stand to their targets, in words. */
export function targets({ routes }: Analytics): string {
  const judged = routes.filter(({ standing }) => standing === "met" || standing === "close" || standing === "missed");
  const below = judged.filter(({ standing }) => standing !== "met");
  const [first] = below;
  if (judged.length === 0) {
    return routes.some(({ target_hit_ratio }) => target_hit_ratio !== null)
      ? "No route with a target was asked for"
      : "No targets: give the node its policy, --policy FILE";
  }
  if (first === undefined) {
    return judged.length === 1 ? "The one route with a target reaches it" : `All ${judged.length} routes with a target reach it`;
  }
  if (judged.length === 1) {
    return `${first.route} is ${points((first.target_hit_ratio ?? 0) - (first.hit_ratio ?? 0))} below its target of ${percent(first.target_hit_ratio)}`;
  }
  return `${count(below.length)} of ${plural(judged.length, "route")} with a target ${below.length === 1 ? "is" : "are"} below it`;
}

function targetState({ routes }: Analytics): string | null {
  const standings = new Set(routes.map(({ standing }) => standing));
  return standings.has("missed") ? "missed" : standings.has("close") ? "close" : standings.has("met") ? "met" : null;
}
