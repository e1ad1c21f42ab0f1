// What happened, in words.

import type { Mark } from "./api";
import { count, plural } from "./format";

export function markTitle(mark: Mark): string {
  switch (mark.kind) {
    case "purge": {
      const soft = mark.soft === 0 ? "" : mark.soft === mark.count ? " (soft)" : ` (${count(mark.soft)} soft)`;
      return `${plural(mark.count, "purge")}${soft}`;
    }
    case "start":
      return mark.count === 1 ? "Node started" : `Node started ${count(mark.count)} times`;
    case "stop":
      return mark.count === 1 ? "Node stopped" : `Node stopped ${count(mark.count)} times`;
    case "policy":
      return mark.count === 1 ? "Policy changed" : `${count(mark.count)} policy changes`;
    case "warm":
      return mark.count === 1 ? "Warmed" : `Warmed ${count(mark.count)} times`;
    case "other_log":
      return "Another purge log: all that was stored before counts as purged";
  }
}

/** What it was about: `tag product:7, tag product:8 and 3 more`. */
export function markAbout(mark: Mark): string {
  const more = mark.count - mark.what.length;
  if (mark.what.length === 0) {
    return "";
  }
  const what = mark.what.map((text) => (text === "all" ? "everything" : text)).join(", ");
  return more > 0 && mark.what.length >= 5 ? `${what} and more` : what;
}

export function markText(mark: Mark): string {
  const about = markAbout(mark);
  return about === "" ? markTitle(mark) : `${markTitle(mark)}: ${about}`;
}
