//! What each kind of resource presets, and what it promises.
//!
//! | kind      | ttl where the policy is silent        | jitter | stale while revalidating, on error | etag   | client's `Cache-Control`                         |
//! |-----------|---------------------------------------|--------|------------------------------------|--------|--------------------------------------------------|
//! | static    | the origin's; a day where it is silent | 0%     | 1d, 7d                             | origin | the origin's; `max-age, public, immutable` where the ttl is fixed |
//! | reference | the origin's; 1h where it is silent    | 10%    | 10m, 1d                            | strong | the origin's                                     |
//! | catalog   | the origin's; 1m where it is silent    | 10%    | 30s, 1h                            | strong | the origin's                                     |
//! | volatile  | the origin's; 1s where it is silent    | 0%     | the origin's, 1m                   | strong | the origin's                                     |
//! | personal  | never; the origin's with `key.user`    | 0%     | the origin's                       | strong | `private, no-cache`                              |
//! | never     | never                                  | 0%     | none                               | origin | untouched                                        |
//! | (none)    | the origin's                           | 0%     | the origin's                       | origin | the origin's                                     |
//!
//! Presets lie under the policy's `defaults`. `personal` and `never` are promises as well: what `defaults` says about
//! lifetimes, stale responses and clients is not meant for these ([`without_sharing`]), and what a class or route of
//! such a kind says against the promise is an error (`check`).

use super::decode::Named;
use super::model::{
    ClientCacheControlSetting, ClientDirectives, ClientSettings, EtagWord, Percent, ScopeWord, Settings, Span,
    StaleSetting, StaleSettings, TtlBounds, TtlSetting, TtlWord,
};
use super::rules::Kind;
use crate::time::Seconds;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
/// The longest `max-age` worth sending (RFC 2616 14.21 knew no longer one, and nothing since asks for more).
const YEAR: u64 = 365 * DAY;

/// The presets of `kind`.
pub(crate) fn presets(kind: Kind) -> Settings {
    match kind {
        Kind::Static => shared(DAY, 0, Some(DAY), 7 * DAY, EtagWord::Origin),
        Kind::Reference => shared(HOUR, 10, Some(10 * MINUTE), DAY, EtagWord::Strong),
        Kind::Catalog => shared(MINUTE, 10, Some(30), HOUR, EtagWord::Strong),
        Kind::Volatile => shared(1, 0, None, MINUTE, EtagWord::Strong),
        Kind::Personal => Settings {
            etag: Some(EtagWord::Strong),
            client: Some(ClientSettings {
                cache_control: Some(ClientCacheControlSetting::Directives(ClientDirectives {
                    scope: Some(ScopeWord::Private),
                    no_cache: Some(true),
                    ..ClientDirectives::default()
                })),
                remove: None,
            }),
            ..Settings::default()
        },
        Kind::Never => Settings { ttl: Some(TtlSetting::Word(TtlWord::Never)), ..Settings::default() },
        Kind::Plain => Settings::default(),
    }
}

fn shared(absent: u64, jitter: u32, while_revalidate: Option<u64>, if_error: u64, etag: EtagWord) -> Settings {
    let span = |secs| Span(Seconds::saturating(secs));
    Settings {
        ttl: Some(TtlSetting::Bounds(TtlBounds { absent: Some(span(absent)), ..TtlBounds::default() })),
        jitter: Some(Percent(jitter)),
        stale: Some(StaleSettings {
            while_revalidate: while_revalidate.map(|secs| StaleSetting::Fixed(span(secs))),
            if_error: Some(StaleSetting::Fixed(span(if_error))),
        }),
        etag: Some(etag),
        ..Settings::default()
    }
}

/// What a `static` resource whose lifetime is fixed tells the client, where the policy says nothing about it.
pub(crate) fn immutable_for(ttl: Seconds) -> ClientDirectives {
    ClientDirectives {
        browser_ttl: Some(Span(ttl.min(Seconds::saturating(YEAR)))),
        scope: Some(ScopeWord::Public),
        immutable: Some(true),
        ..ClientDirectives::default()
    }
}

/// `defaults` without what is meant for shared responses only.
pub(crate) fn without_sharing(defaults: &Settings) -> Settings {
    Settings {
        ttl: None,
        status_ttl: None,
        heuristic: None,
        stale: None,
        refresh_ahead: None,
        client: None,
        warm: None,
        ..defaults.clone()
    }
}

/// Takes the lifetimes out of the settings of a class that is not stored.
pub(crate) fn never_stored(settings: &mut Settings) {
    settings.ttl = Some(TtlSetting::Word(TtlWord::Never));
    settings.status_ttl = Some(Named::default());
    settings.heuristic = None;
    settings.refresh_ahead = None;
    settings.warm = None;
}
