// What the node says, and asking for it. The token, where there is one, is in memory only: it ends with the page.

export const RANGES = ["10m", "1h", "6h", "1d", "7d", "30d"] as const;
export type RangeName = (typeof RANGES)[number];

export interface Sums {
  requests: number;
  hits: number;
  bypassed: number;
  hit_ratio: number | null;
  origin_requests: number;
  origin_requests_avoided: number;
  bytes_from_store: number;
  bytes_from_origin: number;
  byte_hit_ratio: number | null;
  not_modified: number;
  refreshes: number;
  invalidations: number;
  outcomes: Record<string, number>;
  cluster_failures: Record<string, number>;
  /** How long requests took, by outcome. */
  latency: Record<string, Latency>;
}

/** In milliseconds; nothing where there were no requests. */
export interface Latency {
  requests: number;
  p50_ms: number | null;
  p95_ms: number | null;
  p99_ms: number | null;
  buckets: number[];
}

export interface LatencySteps {
  p50_ms: (number | null)[];
  p95_ms: (number | null)[];
  p99_ms: (number | null)[];
}

/** A URL that was asked for. */
export interface Key {
  url: string;
  policy: string;
  route: string;
  requests: number;
  hits: number;
  hit_ratio: number | null;
}

export interface ByStep {
  requests: number[];
  hits: number[];
  origin_requests: number[];
  bytes_from_store: number[];
  bytes_from_origin: number[];
  outcomes: Record<string, number[]>;
}

export type Standing = "met" | "close" | "missed" | "no_target" | "no_requests";

export interface Route extends Sums {
  policy: string;
  route: string;
  class: string;
  hosts: string[];
  target_hit_ratio: number | null;
  standing: Standing;
}

export interface Miss {
  policy: string;
  route: string;
  class: string;
  kind: "absent" | "revalidated" | "not_stored" | "bypass";
  reason: string;
  count: number;
}

export interface Mark {
  at_ms: number;
  kind: "purge" | "start" | "stop" | "other_log" | "policy" | "warm";
  count: number;
  soft: number;
  what: string[];
  who: string[];
}

/** `GET /v1/analytics`; docs/analytics.md says what each field means. */
export interface Analytics {
  range: RangeName;
  now_ms: number;
  from_ms: number;
  step_ms: number;
  steps: number;
  held_from_ms: number | null;
  filter: { policy: string | null; route: string | null; host: string | null };
  totals: Sums;
  by_step: ByStep;
  latency_bounds_ms: number[];
  latency_by_step: Record<string, LatencySteps>;
  routes: Route[];
  routes_left_off: number;
  misses: Miss[];
  keys: Key[];
  hosts: string[];
  nodes: string[];
  gauges: Record<string, (number | null)[]>;
  node: Record<string, number[]>;
  marks: Mark[];
  not_taken: number;
}

export interface Worker {
  name: string;
  log: string;
  sequence: number;
  heard_ms_ago: number;
  polling: boolean;
  silent: boolean;
}

/** What of `GET /v1/stats` is shown. */
export interface Stats {
  name: string;
  version: string;
  store: {
    kind: string;
    memory_bytes: number | null;
    memory_bytes_max: number | null;
    disk_bytes: number | null;
    disk_bytes_max: number | null;
    items: number | null;
    evictions: number | null;
  };
  log: { kind: string; id: string; sequence: number };
  workers: Worker[];
  /** Whether the node was told to warm. */
  warms: boolean;
}

/** A version of a policy. */
export interface Version {
  version: number;
  sha256: string;
  pushed_ms: number;
  by: string;
  comment: string;
}

/** A version in force or in the shadow, and since when. */
export interface VersionInForce extends Version {
  since_ms: number;
}

/** What of `GET /v1/policies` is shown. */
export interface Policy {
  name: string;
  /** 0 where workers would take up a policy of this name, and none was pushed. */
  generation: number;
  active: VersionInForce | null;
  shadow: VersionInForce | null;
  /** A text in use is gone: workers keep what they have. */
  damaged: boolean;
  /** The newest first. */
  versions: Version[];
  workers: { current: number; behind: number; refused: number; silent: number };
}

export interface ShadowSide {
  requests: number;
  hits: number;
  hit_ratio: number | null;
  bypassed: number;
  store_bytes: number;
}

export interface ShadowSides {
  active: ShadowSide;
  shadow: ShadowSide;
  /** How often the shadow would have answered otherwise, by reason. */
  differs: Record<string, number>;
}

/** What of `GET /v1/policies/{name}/shadow` is shown. */
export interface ShadowReport {
  name: string;
  from_ms: number;
  until_ms: number;
  safe: boolean;
  totals: ShadowSides;
  routes: ({ route: string } & ShadowSides)[];
  routes_left_off: number;
}

/** What came of a change of a policy. */
export interface Pushed {
  name: string;
  version: number | null;
  unchanged: boolean;
  /** What the linter says. */
  warnings?: { text: string }[];
}

/** A request that warms, and what came of it the last time. */
export interface Warmed {
  url: string;
  headers: [string, string][];
  route: string | null;
  every_s: number | null;
  last: { at_ms: number; outcome: "warmed" | "fresh" | "not_stored" | "failed"; reason: string | null } | null;
  next_ms: number;
}

/** What of `GET /v1/warming` is shown. */
export interface Warming {
  via: string;
  /** Who warms: this node, another one by its name, or nobody can say for this reason. */
  holder: { state: "here" } | { state: "elsewhere" | "unknown"; name: string };
  running: boolean;
  total: number;
  requests: Warmed[];
  refused_in_all: number;
  refused: { url: string; why: string }[];
}

export interface Purged {
  log: string;
  sequence: number;
  purges: number;
}

export interface Delivery {
  delivered: boolean;
  workers: { confirmed: string[]; pending: string[]; silent: string[] };
}

/** The node's word for what went wrong, or that it cannot be reached (status 0). */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    detail: string,
    /** Each with its place, where a policy has errors. */
    readonly errors: readonly string[] = [],
  ) {
    super(detail);
  }
}

const TIMEOUT_MS = 15_000;

export class Api {
  /** For reading. */
  token = "";

  analytics(range: RangeName, filter: { policy: string | null; route: string | null; host: string | null }, signal: AbortSignal): Promise<Analytics> {
    const query = new URLSearchParams({ range });
    for (const name of ["policy", "route", "host"] as const) {
      const value = filter[name];
      if (value !== null) {
        query.set(name, value);
      }
    }
    return this.ask(`analytics?${query}`, { signal });
  }

  stats(signal: AbortSignal): Promise<Stats> {
    return this.ask("stats", { signal });
  }

  /** Nothing where the node has none to tell of, to whoever has this token. */
  async policies(signal: AbortSignal): Promise<Policy[] | null> {
    const said = await this.some<{ policies: Policy[] }>("policies", signal);
    return said?.policies ?? null;
  }

  /** Nothing where it has no shadow any more. */
  shadow(policy: string, signal: AbortSignal): Promise<ShadowReport | null> {
    return this.some(`policies/${encodeURIComponent(policy)}/shadow`, signal);
  }

  /** Nothing where whoever has this token is not to know. */
  warming(signal: AbortSignal): Promise<Warming | null> {
    return this.some<Warming>("warming", signal);
  }

  push(text: string, shadow: boolean, comment: string, token: string): Promise<Pushed> {
    const query = new URLSearchParams();
    if (shadow) {
      query.set("shadow", "true");
    }
    if (comment !== "") {
      query.set("comment", comment);
    }
    const headers = { "content-type": "application/json" };
    return this.ask(`policies${query.size === 0 ? "" : `?${query}`}`, { method: "POST", headers, body: text }, token);
  }

  rollback(policy: string, to: number, token: string): Promise<unknown> {
    const headers = { "content-type": "application/json" };
    return this.ask(`policies/${encodeURIComponent(policy)}/rollback`, { method: "POST", headers, body: JSON.stringify({ to }) }, token);
  }

  promote(policy: string, token: string): Promise<unknown> {
    return this.ask(`policies/${encodeURIComponent(policy)}/promote`, { method: "POST" }, token);
  }

  endShadow(policy: string, token: string): Promise<unknown> {
    return this.ask(`policies/${encodeURIComponent(policy)}/shadow`, { method: "DELETE" }, token);
  }

  /** Says for how many requests it was asked. */
  warm(token: string): Promise<{ requests: number }> {
    const headers = { "content-type": "application/json" };
    return this.ask("warming", { method: "POST", headers, body: "{}" }, token);
  }

  private async some<T>(path: string, signal: AbortSignal): Promise<T | null> {
    try {
      return await this.ask<T>(path, { signal });
    } catch (error) {
      if (error instanceof ApiError && [401, 403, 404].includes(error.status)) {
        return null;
      }
      throw error;
    }
  }

  purge(wanted: object, token: string): Promise<Purged> {
    const headers = { "content-type": "application/json" };
    return this.ask("purge", { method: "POST", headers, body: JSON.stringify(wanted) }, token);
  }

  delivery(purged: Purged, token: string): Promise<Delivery> {
    return this.ask(`purges/${purged.sequence}/delivery?wait=10s&log=${purged.log}`, {}, token);
  }

  private async ask<T>(path: string, request: RequestInit, token = this.token): Promise<T> {
    const headers = new Headers(request.headers);
    if (token !== "") {
      headers.set("authorization", `Bearer ${token}`);
    }
    const limit = AbortSignal.timeout(TIMEOUT_MS);
    const signal = request.signal ? AbortSignal.any([request.signal, limit]) : limit;
    let response: Response;
    try {
      response = await fetch(`../v1/${path}`, { ...request, headers, signal, cache: "no-store", credentials: "omit" });
    } catch (error) {
      if (request.signal?.aborted) {
        throw error;
      }
      throw new ApiError(0, "The node does not answer.");
    }
    if (!response.ok) {
      const problem: unknown = await response.json().catch(() => null);
      const detail = typeof problem === "object" && problem !== null && "detail" in problem ? String(problem.detail) : response.statusText;
      throw new ApiError(response.status, detail, located(problem));
    }
    const text = await response.text();
    return (text === "" ? null : JSON.parse(text)) as T;
  }
}

function located(problem: unknown): string[] {
  if (typeof problem !== "object" || problem === null || !("errors" in problem) || !Array.isArray(problem.errors)) {
    return [];
  }
  const text = (error: unknown): string => (typeof error === "object" && error !== null && "text" in error ? String(error.text) : String(error));
  return problem.errors.map(text);
}
