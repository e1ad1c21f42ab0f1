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
  origin_bytes: [
    ["product", "catalog", null, 70 * 2400],
    ["search", "volatile", null, 130 * 900],
  ],
  refreshes: [["product", "catalog", null, 18]],
  not_modified: [["assets", "static", null, 120]],
};

/** How long requests took in one round: route, class, outcome, bound in milliseconds, requests. */
const TOOK = [
  ["product", "catalog", "hit", "1", 700],
  ["product", "catalog", "hit", "2", 40],
  ["product", "catalog", "miss", "50", 40],
  ["product", "catalog", "miss", "250", 10],
  ["search", "volatile", "miss", "more", 60],
];

/** What the percentiles of these are, worked out by hand: linear within a bucket. */
export const LATENCY = {
  // 740: the 370th of 700 within 1 ms; 703 is the third of 40 between 1 and 2 ms; 732.6 the 32.6th.
  hit: { p50: "0.53 ms", p95: "1.08 ms", p99: "1.82 ms" },
  // 110, 60 of them beyond 5 s: the 55th and all after it are not known to be shorter.
  miss: { p50: "5 s or more", p95: "5 s or more", p99: "5 s or more" },
};

/** URLs of one round: path, route, class, requests, hits. */
const KEYS = [
  ["/v1/products/7", "product", "catalog", 400, 380],
  ["/v1/products/8", "product", "catalog", 90, 30],
  ["/assets/app.js", "assets", "static", 300, 299],
];

const HOSTS = { product: "api.shop.example", products: "api.shop.example", search: "api.shop.example", assets: "*.cdn.example" };

function labels(route, className) {
  const host = HOSTS[route];
  return `;policy=shop;route=${route};class=${className}${host === undefined ? "" : `;host=${host}`}`;
}

/** The URLs of one report, and what they come to in so many rounds. */
export function keys(rounds = 1) {
  return KEYS.map(([path, route, className, requests, hits]) => [`https://shop.example${path}`, labels(route, className), requests * rounds, hits * rounds]);
}

const LABELS = { requests: "outcome", not_stored: "reason", bypass: "reason", cluster_failures: "reason" };

/** The rows of one report, a share of the round's numbers. */
export function rows(share = 1) {
  const took = TOOK.map(([route, className, outcome, within, number]) => [
    `larder_request_duration_total${labels(route, className)};outcome=${outcome};within=${within}`,
    Math.round(number * share),
  ]);
  const counted = Object.entries(ROUND).flatMap(([family, counts]) =>
    counts.map(([route, className, value, number]) => {
      const label = value === null ? "" : `;${LABELS[family]}=${value}`;
      return [`larder_${family}_total${labels(route, className)}${label}`, Math.round(number * share)];
    }),
  );
  return [...counted, ...took];
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
    originBytes: of("origin_bytes").reduce((sum, [, , , number]) => sum + number * rounds, 0),
  };
}
