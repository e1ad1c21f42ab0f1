// Each route's hit ratio against its target, with how it stands in words. A route's name is a button: it filters the page.

import type { Analytics, Route } from "../api";
import { h, List, setAttribute, setText, show } from "../dom";
import { count, percent, points } from "../format";
import { choose, chosen } from "../state";

const COLUMNS = ["Route", "Requests", "Hit ratio", "Target", "State", "Origin requests"];

export class Routes {
  readonly element: HTMLElement;
  private readonly empty = h("p", { class: "empty" }, "No requests in this range. Figures come once workers report: give the plugin a cluster, and send a request through Envoy.");
  private readonly leftOff = h("p", { class: "note" });
  private readonly table: HTMLTableElement;
  private readonly rows: List<Route>;

  constructor() {
    const body = h("tbody");
    const head = h("tr", {}, ...COLUMNS.map((name, index) => h("th", { scope: "col", class: index === 0 || index === 4 ? "" : "number" }, name)));
    this.table = h("table", { class: "stack" }, h("thead", {}, head), body);
    this.rows = new List<Route>(body, ({ policy, route }) => `${policy}\n${route}`, row);
    this.element = h("section", { id: "routes", "aria-labelledby": "routes-title" }, h("h2", { id: "routes-title" }, "Routes"), this.empty, this.table, this.leftOff);
  }

  update(analytics: Analytics): void {
    this.rows.update(analytics.routes);
    show(this.table, analytics.routes.length > 0);
    show(this.empty, analytics.routes.length === 0);
    show(this.leftOff, analytics.routes_left_off > 0);
    setText(this.leftOff, `${count(analytics.routes_left_off)} more routes with less traffic; the filter finds them.`);
  }
}

function row({ policy, route }: Route): { element: HTMLElement; update: (route: Route) => void } {
  const name = h("button", { type: "button", class: "link", click: () => toggle(policy, route) }, route);
  const about = h("span", { class: "note" });
  const cell = (label: string) => h("td", { class: "number", "data-label": label });
  const requests = cell("Requests");
  const ratio = h("span", { class: "ratio-value" });
  const bar = h("span", { class: "bar-fill" });
  const mark = h("span", { class: "bar-target" });
  const barBox = h("span", { class: "bar", "aria-hidden": "true" }, bar, mark);
  const ratioCell = h("td", { class: "number ratio", "data-label": "Hit ratio" }, ratio, barBox);
  const target = cell("Target");
  const state = h("td", { class: "state", "data-label": "State" });
  const origin = cell("Origin requests");
  const element = h("tr", { "data-route": `${policy}/${route}` }, h("th", { scope: "row" }, name, about), requests, ratioCell, target, state, origin);
  const update = (route: Route): void => {
    const { range: _, ...filter } = chosen();
    setAttribute(name, "aria-pressed", String(filter.route === route.route && filter.policy === route.policy));
    setText(about, `${route.policy}${route.class === "" || route.class === "_defaults" ? "" : ` · ${route.class}`}${route.hosts.length === 0 ? "" : ` · ${route.hosts.join(", ")}`}`);
    setText(requests, count(route.requests + route.bypassed));
    setText(ratio, percent(route.hit_ratio));
    bar.style.width = `${(route.hit_ratio ?? 0) * 100}%`;
    mark.style.left = `${(route.target_hit_ratio ?? 0) * 100}%`;
    show(barBox, route.hit_ratio !== null);
    show(mark, route.target_hit_ratio !== null);
    setText(target, percent(route.target_hit_ratio));
    setText(state, words(route));
    setAttribute(element, "data-state", route.standing);
    setText(origin, count(route.origin_requests));
  };
  return { element, update };
}

/** How a route stands, in words. */
export function words({ standing, hit_ratio, target_hit_ratio, requests, bypassed }: Route): string {
  const below = points((target_hit_ratio ?? 0) - (hit_ratio ?? 0));
  switch (standing) {
    case "met":
      return "On target";
    case "close":
      return `Close: ${below} below`;
    case "missed":
      return `Below target by ${below}`;
    case "no_target":
      return requests === 0 && bypassed > 0 ? "Passed by" : "No target";
    case "no_requests":
      return bypassed > 0 ? "Passed by only" : "No requests";
  }
}

function toggle(policy: string, route: string): void {
  const now = chosen();
  const same = now.policy === policy && now.route === route;
  choose(same ? { policy: null, route: null } : { policy, route });
}
