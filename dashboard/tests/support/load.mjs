// A scripted load: what a small shop's workers would count, and what that must come to.

/** The policy whose targets the figures are held against. */
export const POLICY = {
  version: 1,
  name: "shop",
  routes: [
    { name: "product", path: "/v1/products/{id}", class: "catalog", ttl: "60s", target_hit_ratio: 0.9 },
    { name: "products", path: "/v1/products", class: "catalog", target_hit_ratio: 0.8 },
    { name: "search", path: "/v1/search", class: "volatile", target_hit_ratio: 0.6 },
    { name: "assets", path: "/assets/{*rest}", class: "static", target_hit_ratio: 0.98 },
    { name: "account", path: "/v1/account", class: "personal" },
  ],
};

/** One round: route, class, outcome, requests; reasons follow. */
const ROUND = {
  requests: [
    ["product", "catalog", "hit", 740],
    ["product", "catalog", "cluster_hit", 150],
    ["product", "catalog", "collapsed", 22],
    ["product", "catalog", "stale", 18],
    ["product", "catalog", "miss", 50],
    ["product", "catalog", "revalidated", 20],
    ["products", "catalog", "hit", 210],
    ["products", "catalog", "miss", 41],
    ["products", "catalog", "revalidated", 14],
    ["search", "volatile", "hit", 70],
    ["search", "volatile", "miss", 60],
    ["search", "volatile", "not_stored", 70],
    ["assets", "static", "hit", 499],
    ["assets", "static", "stale_error", 1],
    ["assets", "static", "miss", 3],
    ["account", "personal", "bypass", 80],
    ["account", "personal", "purge", 2],
  ],
  not_stored: [
    ["search", "volatile", "set-cookie", 48],
    ["search", "volatile", "no-store", 22],
  ],
  bypass: [
    ["account", "personal", "policy", 60],
    ["account", "personal", "unsafe-method", 20],
  ],
  cluster_failures: [["product", "catalog", "cluster-timeout", 1]],
  store_bytes: [
    ["product", "catalog", null, 930 * 2400],
    ["assets", "static", null, 500 * 31_000],
  ],
  refreshes: [["product", "catalog", null, 18]],
  not_modified: [["assets", "static", null, 120]],
};

const LABELS = { requests: "outcome", not_stored: "reason", bypass: "reason", cluster_failures: "reason" };

/** The rows of one report, a share of the round's numbers. */
export function rows(share = 1) {
  return Object.entries(ROUND).flatMap(([family, counts]) =>
    counts.map(([route, className, value, number]) => {
      const label = value === null ? "" : `;${LABELS[family]}=${value}`;
      return [`larder_${family}_total;policy=shop;route=${route};class=${className}${label}`, Math.round(number * share)];
    }),
  );
}

/** What so many whole rounds come to: worked out here, and not by the node. */
export function expected(rounds, route = null) {
  const of = (family) => ROUND[family].filter(([name]) => route === null || name === route);
  const outcomes = {};
  for (const [, , outcome, number] of of("requests")) {
    outcomes[outcome] = (outcomes[outcome] ?? 0) + number * rounds;
  }
  const sum = (...names) => names.reduce((sum, name) => sum + (outcomes[name] ?? 0), 0);
  const hits = sum("hit", "cluster_hit", "collapsed", "stale", "stale_error");
  const requests = hits + sum("miss", "revalidated", "not_stored");
  const refreshes = of("refreshes").reduce((sum, [, , , number]) => sum + number * rounds, 0);
  return {
    outcomes,
    all: Object.values(outcomes).reduce((a, b) => a + b, 0),
    hits,
    requests,
    ratio: requests === 0 ? null : hits / requests,
    avoided: sum("hit", "cluster_hit", "collapsed", "stale"),
    origin: sum("miss", "revalidated", "not_stored", "bypass", "stale_error") + refreshes,
    storeBytes: of("store_bytes").reduce((sum, [, , , number]) => sum + number * rounds, 0),
  };
}
