// Why a request was not a hit, in words, and what to change. The reasons are those of Cache-Status and of the counters.

import type { Miss } from "./api";

export interface Reason {
  /** What happened. */
  why: string;
  /** What to change; with settings of the policy in backticks. */
  change: string;
}

const NOT_STORED: Record<string, Reason> = {
  method: {
    why: "Only responses to GET are stored.",
    change: "Nothing for HEAD. For a POST whose answer is its URL's content, `post: store`.",
  },
  "request-body": {
    why: "A GET with a body is never stored: its meaning is not in its URL.",
    change: "Have clients put what they ask for into the query.",
  },
  "local-reply": {
    why: "Envoy answered itself: no route, no healthy host, a limit.",
    change: "Look for the response flags in Envoy's access log. There is nothing of the origin's to store.",
  },
  partial: {
    why: "The response was a part (206), a 304 or an interim one.",
    change: "`partial: store` keeps parts for the same range. A first request without Range lets all ranges be answered from the store.",
  },
  "error-status": {
    why: "An error status that the policy does not name.",
    change: "To keep it for a moment, name it: `status_ttl: {\"404\": \"10s\"}`.",
  },
  "page-for-file": {
    why: "A page where the path has the name of a file, such as an application's start page for what is not there.",
    change: "Have the origin answer 404, or send the Content-Type of the file.",
  },
  "odd-request": {
    why: "An error in answer to an odd request, which must not reach others.",
    change: "Nothing, unless ordinary clients send such requests: very long fields, strange characters.",
  },
  "not-understood": {
    why: "The origin said must-understand with a status that caches do not know.",
    change: "Have the origin leave `must-understand` out, or use a standard status.",
  },
  "request-no-store": {
    why: "The client said no-store, which is always obeyed.",
    change: "Have clients ask without it; `no-cache` is enough to see fresh data.",
  },
  "no-store": {
    why: "The origin said no-store.",
    change: "Have the origin leave it out where the response is the same for everybody. Where it cannot be changed: `override: unsafe` with a `ttl`.",
  },
  private: {
    why: "The origin said private.",
    change: "Have the origin say `public` where the response is the same for everybody; where it is one user's, `key.user` keeps it apart.",
  },
  policy: {
    why: "The policy says never for this response.",
    change: "Give the route or this status a `ttl`, or another class.",
  },
  authorization: {
    why: "The request carried Authorization, and the response does not say that it may be shared (RFC 9111 3.5).",
    change: "Have the origin say `public` or `s-maxage`; or keep users apart with `key.user: authorization`.",
  },
  "session-cookie": {
    why: "The request carried a session cookie.",
    change: "List cookies that do not matter in `identity.ignore_cookies`; or keep users apart with `key.user`.",
  },
  "set-cookie": {
    why: "The response sets a cookie.",
    change: "Have the origin set it elsewhere; or store the response without it: `identity.set_cookie: strip`.",
  },
  "vary-any": {
    why: "The response varies by everything (Vary: *).",
    change: "Have the origin name the fields that it really looks at.",
  },
  "vary-not-allowed": {
    why: "The response varies by a field that the policy does not allow.",
    change: "Have the origin leave it out, or allow it with `vary`; a field with many values makes many variants.",
  },
  "unkeyed-input": {
    why: "The request carried a field that the answer may depend on and the key does not have, such as X-Forwarded-Host.",
    change: "Remove the field in front of the cache, or add it to `key.headers`.",
  },
  "unkeyed-origin": {
    why: "CORS fields for one origin, without Vary: Origin.",
    change: "Have the origin send `Vary: Origin`, or `Access-Control-Allow-Origin: *`.",
  },
  "no-lifetime": {
    why: "The response says neither how long it is fresh nor has it anything to validate with.",
    change: "Give the route a `ttl`, or have the origin send `Cache-Control: max-age` or an ETag; `etag: strong` makes one.",
  },
  "unclean-field": {
    why: "A field of the response has CR, LF or NUL in its value.",
    change: "Mend the origin: that is how responses are split.",
  },
  "too-large": {
    why: "The body is larger than the limit.",
    change: "Raise `limits.object_bytes`, with `reroute_above` so that large bodies do not pass through the proxy's memory.",
  },
  tags: {
    why: "More tags than the limit, or one that cannot be kept.",
    change: "Raise `limits.tags_per_entry`, or have the origin send fewer.",
  },
  truncated: {
    why: "The body ended early: the origin or the client went away.",
    change: "Look for resets and timeouts between Envoy and the origin.",
  },
};

const BYPASS: Record<string, Reason> = {
  method: { why: "A method that is not cached, such as OPTIONS.", change: "Nothing." },
  "unsafe-method": {
    why: "POST, PUT, PATCH or DELETE: a write.",
    change: "Nothing. What a write makes wrong is named in `invalidate`.",
  },
  "request-body": {
    why: "A GET with a body: its meaning is not in its URL.",
    change: "Have clients put what they ask for into the query.",
  },
  upgrade: { why: "The connection became another protocol's, such as WebSocket's.", change: "Nothing." },
  "ambiguous-path": {
    why: "The path can be read in more than one way, and origin and cache might differ.",
    change: "Have Envoy normalise paths (`normalize_path`, `merge_slashes`), or find who sends them.",
  },
  policy: {
    why: "The policy says never for this route.",
    change: "Where that is not meant: give the route a `ttl`, or another class than never or personal.",
  },
  authorization: {
    why: "The policy passes requests with Authorization by.",
    change: "`identity.authorization: rfc9111` shares what the origin allows; `key.user: authorization` keeps users apart.",
  },
  edge: { why: "A Larder edge in front stores it; this layer leaves it to that.", change: "Nothing." },
  misdriven: {
    why: "The host called the cache out of order: a defect, and nothing was cached rather than something wrong.",
    change: "Please report it, with the versions of Envoy and Larder.",
  },
};

const ABSENT: Reason = {
  why: "Not in a store: first asked for, expired, purged or evicted. Stored since.",
  change: "Raise `ttl`; leave query parameters that do not matter out of the key (`key.query`); look at evictions and purges; `warm` what is asked for first.",
};

const REVALIDATED: Reason = {
  why: "Stale; the origin confirmed it with a 304.",
  change: "Raise `ttl`, or answer meanwhile with what is stored: `stale.while_revalidate`.",
};

const UNKNOWN: Reason = { why: "A reason that this page does not know.", change: "The documentation of Cache-Status lists all reasons." };

export function reason(miss: Pick<Miss, "kind" | "reason">): Reason {
  switch (miss.kind) {
    case "absent":
      return ABSENT;
    case "revalidated":
      return REVALIDATED;
    case "not_stored":
      return NOT_STORED[miss.reason] ?? UNKNOWN;
    case "bypass":
      return BYPASS[miss.reason] ?? UNKNOWN;
  }
}

