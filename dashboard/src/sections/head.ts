// The page's head: which range, which routes, light or dark, live or paused; and how the page itself fares.

import { type Analytics, RANGES } from "../api";
import { h, setAttribute, setText, show } from "../dom";
import { time } from "../format";
import { choose, chooseTheme, chosen, type Theme, theme } from "../state";

const RANGE_NAMES: Record<string, string> = {
  "10m": "10 minutes",
  "1h": "1 hour",
  "6h": "6 hours",
  "1d": "1 day",
  "7d": "7 days",
  "30d": "30 days",
};
const RANGE_SHORT: Record<string, string> = { "10m": "10 min", "1h": "1 h", "6h": "6 h", "1d": "1 day", "7d": "7 days", "30d": "30 days" };

export class Head {
  readonly element: HTMLElement;
  private readonly ranges: HTMLInputElement[];
  private readonly filter = h("select", { id: "filter", change: () => this.filtered() });
  private readonly host = h("select", { id: "host", change: () => choose({ host: this.host.value === "" ? null : this.host.value }) });
  private readonly hostField = h("div", { class: "field", hidden: true }, h("label", { for: "host" }, "Host"), this.host);
  private readonly name = h("span", { class: "node-name" });
  private readonly state = h("span", { class: "live", role: "status" });
  private readonly updated = h("span", { class: "note updated" });
  private readonly pause: HTMLButtonElement;
  private known = new Map<string, Set<string>>();
  private shown = "";
  private hosts: string[] = [];

  constructor(onPause: (paused: boolean) => void) {
    this.ranges = RANGES.map((name) => h("input", { type: "radio", name: "range", value: name, change: () => choose({ range: name }) }));
    const labels = this.ranges.map((input) => h("label", { title: RANGE_NAMES[input.value] ?? "" }, input, RANGE_SHORT[input.value] ?? input.value));
    this.pause = h("button", { type: "button", class: "quiet", "aria-pressed": "false", click: () => onPause(this.togglePause()) }, "Pause");
    const themes = h(
      "select",
      { id: "theme", change: (event) => chooseTheme((event.target as HTMLSelectElement).value as Theme) },
      ...(["auto", "light", "dark"] as const).map((name) => h("option", { value: name, selected: name === theme() }, name === "auto" ? "System" : name === "light" ? "Light" : "Dark")),
    );
    this.element = h(
      "header",
      { class: "head" },
      h("div", { class: "title" }, h("h1", {}, "Larder"), this.name, this.state, this.updated),
      h(
        "div",
        { class: "controls" },
        h("fieldset", { class: "segments" }, h("legend", { class: "hidden" }, "Range"), ...labels),
        this.hostField,
        h("div", { class: "field" }, h("label", { for: "filter" }, "Route"), this.filter),
        h("div", { class: "field" }, h("label", { for: "theme" }, "Theme"), themes),
        this.pause,
      ),
    );
    this.follow();
  }

  /** Shows what is chosen. */
  follow(): void {
    const { range, policy, route } = chosen();
    for (const input of this.ranges) {
      input.checked = input.value === range;
    }
    this.list();
    this.filter.value = value(policy, route);
    this.listHosts();
  }

  /** Takes up the routes that there are. */
  update(analytics: Analytics, node: string | null): void {
    for (const { policy, route } of analytics.routes) {
      const routes = this.known.get(policy) ?? new Set();
      this.known.set(policy, routes.add(route));
    }
    this.list();
    const hosts = [...new Set([...this.hosts, ...analytics.hosts])].sort();
    if (hosts.length !== this.hosts.length) {
      this.hosts = hosts;
      this.listHosts();
    }
    setText(this.name, node ?? "");
    setText(this.updated, `as of ${time(analytics.now_ms)}`);
  }

  say(state: "live" | "paused" | "waiting" | "trouble", text: string): void {
    setAttribute(this.state, "data-state", state);
    setText(this.state, text);
    show(this.state, text !== "");
  }

  private togglePause(): boolean {
    const paused = this.pause.getAttribute("aria-pressed") !== "true";
    this.pause.setAttribute("aria-pressed", String(paused));
    return paused;
  }

  private list(): void {
    const { policy, route } = chosen();
    const known = new Map([...this.known].map(([name, routes]) => [name, [...routes].sort()]));
    if (policy !== null && route !== null && !known.get(policy)?.includes(route)) {
      known.set(policy, [...(known.get(policy) ?? []), route]);
    }
    const shown = JSON.stringify([...known]);
    if (shown === this.shown) {
      return;
    }
    this.shown = shown;
    const groups = [...known].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, routes]) =>
      h("optgroup", { label: name }, h("option", { value: value(name, null) }, `All of ${name}`), ...routes.map((one) => h("option", { value: value(name, one) }, one))),
    );
    this.filter.replaceChildren(h("option", { value: value(null, null) }, "All routes"), ...groups);
    this.filter.value = value(policy, route);
  }

  /** The hosts that policies name; none, where they name none. */
  private listHosts(): void {
    const { host } = chosen();
    const hosts = host === null || this.hosts.includes(host) ? this.hosts : [...this.hosts, host];
    show(this.hostField, hosts.length > 0);
    this.host.replaceChildren(h("option", { value: "" }, "All hosts"), ...hosts.map((name) => h("option", { value: name }, name)));
    this.host.value = host ?? "";
  }

  private filtered(): void {
    const [policy, route] = JSON.parse(this.filter.value) as [string | null, string | null];
    choose({ policy, route });
  }
}

function value(policy: string | null, route: string | null): string {
  return JSON.stringify([policy, route]);
}
