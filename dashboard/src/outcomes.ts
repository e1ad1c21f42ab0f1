// The ways in which a request is answered, in the order in which they are stacked, with the names that people read.

export interface Outcome {
  name: string;
  label: string;
  about: string;
  /** The style sheet's variable. */
  color: string;
}

export const OUTCOMES: readonly Outcome[] = [
  { name: "hit", label: "Hit", about: "from the proxy's memory, fresh", color: "--hit" },
  { name: "cluster_hit", label: "Cluster hit", about: "from the cluster, fresh", color: "--cluster-hit" },
  { name: "collapsed", label: "Collapsed", about: "waited for another request's response", color: "--collapsed" },
  { name: "stale", label: "Stale", about: "stale, while a refresh runs", color: "--stale" },
  { name: "stale_error", label: "Stale on error", about: "the origin failed: the last good answer", color: "--stale-error" },
  { name: "revalidated", label: "Revalidated", about: "the origin confirmed what was stored", color: "--revalidated" },
  { name: "miss", label: "Miss", about: "from the origin, and stored", color: "--miss" },
  { name: "not_stored", label: "Not stored", about: "from the origin, and not kept", color: "--not-stored" },
  { name: "bypass", label: "Bypass", about: "the cache was not asked", color: "--bypass" },
  { name: "purge", label: "Purge", about: "a PURGE request", color: "--other" },
  { name: "refused", label: "Refused", about: "504 to only-if-cached", color: "--other" },
];

/** The outcomes that occur, those that this page does not know last. */
export function present(counts: Record<string, unknown>): Outcome[] {
  const known = OUTCOMES.filter(({ name }) => name in counts);
  const names = new Set(OUTCOMES.map(({ name }) => name));
  const others = Object.keys(counts).filter((name) => !names.has(name));
  return [...known, ...others.map((name) => ({ name, label: name, about: "", color: "--other" }))];
}
