// What the reader has chosen. It stands in the page's address, so that a link shows the same; except for the token, and the theme,
// which is this browser's matter.

import { RANGES, type RangeName } from "./api";

export type Theme = "auto" | "light" | "dark";

export interface Chosen {
  range: RangeName;
  policy: string | null;
  route: string | null;
  host: string | null;
}

const THEME = "larder-theme";

export function chosen(): Chosen {
  const parameters = new URLSearchParams(location.hash.slice(1));
  const range = RANGES.find((name) => name === parameters.get("range")) ?? "10m";
  return { range, policy: parameters.get("policy"), route: parameters.get("route"), host: parameters.get("host") };
}

export function choose(change: Partial<Chosen>): void {
  const { range, policy, route, host } = { ...chosen(), ...change };
  const parameters = new URLSearchParams({ range });
  if (policy !== null) {
    parameters.set("policy", policy);
  }
  if (route !== null) {
    parameters.set("route", route);
  }
  if (host !== null) {
    parameters.set("host", host);
  }
  history.replaceState(null, "", `#${parameters}`);
  dispatchEvent(new Event("chosen"));
}

export function theme(): Theme {
  let known: string | null = null;
  try {
    known = localStorage.getItem(THEME);
  } catch {
    // A browser that keeps nothing: as the system has it.
  }
  return known === "light" || known === "dark" ? known : "auto";
}

export function chooseTheme(theme: Theme): void {
  try {
    localStorage.setItem(THEME, theme);
  } catch {
    // It holds for this page only.
  }
  applyTheme(theme);
}

export function applyTheme(theme: Theme): void {
  if (theme === "auto") {
    delete document.documentElement.dataset["theme"];
  } else {
    document.documentElement.dataset["theme"] = theme;
  }
  dispatchEvent(new Event("themed"));
}
