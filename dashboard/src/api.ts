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
  bytes_from_origin: number | null;
  byte_hit_ratio: number | null;
  not_modified: number;
  refreshes: number;
  invalidations: number;
  outcomes: Record<string, number>;
  cluster_failures: Record<string, number>;
}

export interface ByStep {
  requests: number[];
  hits: number[];
  origin_requests: number[];
  bytes_from_store: number[];
  bytes_from_origin: number[] | null;
  outcomes: Record<string, number[]>;
}

export type Standing = "met" | "close" | "missed" | "no_target" | "no_requests";

export interface Route extends Sums {
  policy: string;
  route: string;
  class: string;
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
  kind: "purge" | "start" | "stop" | "other_log";
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
  filter: { policy: string | null; route: string | null };
  totals: Sums;
  by_step: ByStep;
  routes: Route[];
  routes_left_off: number;
  misses: Miss[];
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
  ) {
    super(detail);
  }
}

const TIMEOUT_MS = 15_000;

export class Api {
  /** For reading. */
  token = "";

  analytics(range: RangeName, policy: string | null, route: string | null, signal: AbortSignal): Promise<Analytics> {
    const query = new URLSearchParams({ range });
    if (policy !== null) {
      query.set("policy", policy);
    }
    if (route !== null) {
      query.set("route", route);
    }
    return this.ask(`analytics?${query}`, { signal });
  }

  stats(signal: AbortSignal): Promise<Stats> {
    return this.ask("stats", { signal });
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
      throw new ApiError(response.status, detail);
    }
    return (await response.json()) as T;
  }
}
