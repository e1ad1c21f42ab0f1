//! Putting a response into the store: whole, freshened by a 304, or compared with a HEAD.

use std::sync::Arc;

use bytes::Bytes;

use super::{Asked, part};
use crate::decide::age::Times;
use crate::decide::freshen;
use crate::decide::head::{self, Said};
use crate::decide::identity::Identity;
use crate::decide::store::{self, Candidate, NotStored};
use crate::decide::vary::{self as vary_rule, VaryKey};
use crate::edge::TAGS;
use crate::entry::{Entry, Facts};
use crate::field::cache_control::CacheControl;
use crate::field::cache_groups;
use crate::field::etag::EntityTag;
use crate::field::no_vary_search::NoVarySearch;
use crate::field::range;
use crate::field::surrogate;
use crate::field::vary::{self, Vary};
use crate::fields::{Fields, RequestHead, ResponseHead};
use crate::judged::Judged;
use crate::key::{self, Key, Keyed};
use crate::policy::Policy;
use crate::policy::rules::Rules;
use crate::policy::template::Params;
use crate::purge::Standing;
use crate::shelf::{Lookup, Variant};
use crate::time::Timestamp;
use crate::worker::Worker;

/// Whose response it is.
pub(super) struct Context<'a> {
    pub policy: &'a Arc<Policy>,
    pub asked: &'a Asked,
    pub sent: Timestamp,
    pub standing: Standing,
}

/// A complete response that may be stored.
pub(super) struct Whole<'a> {
    pub status: u16,
    pub fields: &'a Fields,
    pub directives: &'a CacheControl,
    pub times: Times,
    pub body: &'a [u8],
    pub made_etag: Option<&'a EntityTag>,
}

/// Stores.
pub(super) fn store(context: &Context<'_>, whole: &Whole<'_>, worker: &mut Worker) -> Result<Variant, NotStored> {
    let rules = &context.asked.rules;
    if whole.body.len() as u64 > rules.limits.object_bytes_max {
        return Err(NotStored::TooLarge);
    }
    let (key, variant) = variant(context, whole, worker)?;
    let kept = worker.shelf.insert(&key, variant.clone(), rules.limits.variants_per_key_max);
    // What is too large for this worker's memory may still be kept by the cluster.
    if kept || (worker.cluster.is_some() && whole.status != 206) { Ok(variant) } else { Err(NotStored::TooLarge) }
}

/// A response in the form in which it is stored, and its key.
pub(super) fn variant(
    context: &Context<'_>,
    whole: &Whole<'_>,
    worker: &mut Worker,
) -> Result<(Key, Variant), NotStored> {
    let asked = context.asked;
    let rules = &asked.rules;
    let keyed = keyed_by_response(asked, whole.fields, worker);
    let tags = tags(&asked.params, rules, whole.fields, &keyed)?;
    let mut fields = store::stored_fields(rules, whole.directives, whole.fields);
    if let Some(tag) = whole.made_etag {
        fields.set("etag", tag.to_bytes());
    }
    let mut names = match vary::parse(whole.fields) {
        Vary::Any => return Err(NotStored::VaryAny),
        Vary::Names(names) => names,
    };
    let key = if whole.status == 206 {
        part_fits(whole, &names)?;
        names.push(part::RANGE.to_owned());
        keyed.key.of_parts()
    } else {
        keyed.key.clone()
    };
    let entry = Entry::new(Facts {
        url: keyed.url(),
        status: whole.status,
        // Stored fields hold nothing of the head that they came in.
        fields: fields.compact(),
        body: Bytes::copy_from_slice(whole.body),
        times: whole.times,
        vary: vary_key(asked, names),
        tags,
        position: context.standing.position,
        made_etag: whole.made_etag.is_some(),
        identified: asked.identity != Identity::None,
        personal: keyed.names_user,
    });
    Ok((key, judge(context, entry)))
}

/// A part has no more bytes than it says; and its origin does not choose by `Range` what the whole is.
fn part_fits(whole: &Whole<'_>, names: &[String]) -> Result<(), NotStored> {
    let said = range::content_range(whole.fields).ok_or(NotStored::Partial)?;
    let most = said.last.saturating_sub(said.first).saturating_add(1);
    let bytes = whole.body.len() as u64;
    let fits = bytes > 0 && bytes <= most && !names.iter().any(|name| name == part::RANGE);
    if fits { Ok(()) } else { Err(NotStored::Partial) }
}

fn judge(context: &Context<'_>, entry: Entry) -> Variant {
    let judged = Judged::new(&context.asked.rules, context.policy.revision, &context.asked.keyed.covers, &entry);
    Variant { entry: Arc::new(entry), judged: Arc::new(judged), standing: context.standing }
}

/// The key under what the response itself says about its query.
fn keyed_by_response(asked: &Asked, fields: &Fields, worker: &mut Worker) -> Keyed {
    if !asked.rules.key.no_vary_search {
        return asked.keyed.clone();
    }
    let said = fields.joined("no-vary-search").and_then(|value| NoVarySearch::parse(&value));
    if said.is_none() && worker.shelf.no_vary_search(asked.keyed.path_key()).is_none() {
        return asked.keyed.clone();
    }
    let keyed = key::keyed(&asked.rules.key, &asked.request, said.as_ref());
    worker.shelf.note_no_vary_search(asked.keyed.path_key(), said);
    keyed
}

/// The tags of a response: the policy's and its own.
pub(crate) fn tags(params: &Params, rules: &Rules, fields: &Fields, keyed: &Keyed) -> Result<Vec<String>, NotStored> {
    let mut tags: Vec<String> = rules.tags.templates.iter().filter_map(|tag| tag.expand(params)).collect();
    let is_groups = |name: &&String| *name == "cache-groups";
    let listed = rules.tags.fields.iter().filter(|name| !is_groups(name)).map(String::as_str);
    let said = surrogate::tags(fields, listed.chain([TAGS]));
    if said.refused {
        return Err(NotStored::Tags);
    }
    tags.extend(said.tags);
    if rules.tags.fields.iter().any(|name| is_groups(&name)) && fields.has("cache-groups") {
        let url = keyed.url();
        tags.extend(cache_groups::groups(fields).iter().map(|group| group_tag(&url, group)));
    }
    tags.sort_unstable();
    tags.dedup();
    if tags.len() > rules.limits.tags_per_entry_max as usize { Err(NotStored::Tags) } else { Ok(tags) }
}

/// A cache group as a tag. Groups belong to an origin (RFC 9875 2): two origins' groups of one name are different ones.
pub fn group_tag(url: &str, group: &str) -> String {
    let origin = url.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
    format!("{origin}#{group}")
}

/// RFC 9111 4.3.4: the stored response with what the 304 says, and whether it is still stored.
pub(super) fn freshen(
    context: &Context<'_>,
    stale: &Variant,
    confirmation: &Fields,
    now: Timestamp,
    worker: &mut Worker,
) -> (Variant, bool) {
    let asked = context.asked;
    let head = ResponseHead { status: 304, fields: confirmation.clone(), ..ResponseHead::default() };
    let mut facts = stale.entry.facts().clone();
    // The update names the origin's validators only; one made here still fits the unchanged body.
    freshen::update(&mut facts.fields, &strip(context, confirmation));
    let directives = CacheControl::of_response(&facts.fields, &asked.rules.targeted);
    facts.fields = store::stored_fields(&asked.rules, &directives, &facts.fields).compact();
    facts.times = super::response::times_of(&head, context.sent, now);
    facts.position = context.standing.position;
    // RFC 9111 5.2.2.3: what was stored by must-understand stays so.
    let no_store = directives.no_store && !directives.must_understand;
    let forbidden = (no_store || directives.private) && !asked.rules.override_unsafe;
    let keeps = !forbidden && selection_follows(asked, &mut facts);
    let variant = judge(context, Entry::new(facts));
    let key = &asked.keyed.key;
    if !keeps || variant.entry.facts().vary != stale.entry.facts().vary {
        worker.shelf.forget(key, &stale.entry);
    }
    if keeps {
        worker.shelf.insert(key, variant.clone(), asked.rules.limits.variants_per_key_max);
    }
    (variant, keeps)
}

/// What selects and what purges a freshened response follows its new fields. Says whether it may still be stored.
fn selection_follows(asked: &Asked, facts: &mut Facts) -> bool {
    let vary = vary::parse(&facts.fields);
    if vary_rule::not_allowed(&vary, asked.rules.vary_allow.as_deref(), &asked.keyed.covers).is_some() {
        return false;
    }
    let (Vary::Names(names), Ok(tags)) = (vary, tags(&asked.params, &asked.rules, &facts.fields, &asked.keyed)) else {
        return false;
    };
    facts.vary = vary_key(asked, names);
    facts.tags = tags;
    true
}

/// What the primary key tells apart needs no second look.
fn vary_key(asked: &Asked, names: Vec<String>) -> VaryKey {
    let secondary: Vec<String> = names.into_iter().filter(|name| !asked.keyed.covers.contains(name)).collect();
    VaryKey::of(&secondary, &asked.request.fields)
}

fn strip(context: &Context<'_>, confirmation: &Fields) -> Fields {
    let directives = CacheControl::of_response(confirmation, &context.asked.rules.targeted);
    store::stored_fields(&context.asked.rules, &directives, confirmation)
}

/// RFC 9111 4.3.5: a HEAD that contradicts the stored response makes it unusable; one that names it updates it.
/// Says whether it contradicts.
pub(super) fn take_head(context: &Context<'_>, response: &ResponseHead, now: Timestamp, worker: &mut Worker) -> bool {
    let asked = context.asked;
    let Lookup::Found(variant) = worker.shelf.lookup(&asked.keyed.key, &asked.request.fields) else { return false };
    let variant = variant.clone();
    let entry = variant.entry.clone();
    let facts = entry.facts();
    if facts.status != 200 {
        return false;
    }
    let (length, bytes) = (response.content_length(), facts.body.len() as u64);
    match head::compare(&response.fields, length, &facts.fields, bytes, facts.made_etag) {
        Said::Other => {
            worker.shelf.forget(&asked.keyed.key, &entry);
            return true;
        }
        Said::Same if may_update(context, response, now) => {
            freshen(context, &variant, &response.fields, now, worker);
        }
        Said::Same | Said::Nothing => {}
    }
    false
}

/// Whether a GET with this head would have been stored: what must not be stored must not change what is.
fn may_update(context: &Context<'_>, head: &ResponseHead, now: Timestamp) -> bool {
    let asked = context.asked;
    let times = super::response::times_of(head, context.sent, now);
    let directives = CacheControl::of_response(&head.fields, &asked.rules.targeted);
    let request = RequestHead { method: "GET".to_owned(), ..asked.request.clone() };
    let candidate = Candidate {
        rules: &asked.rules,
        request: &request,
        identity: asked.identity,
        covers: &asked.keyed.covers,
        response: head,
        directives: &directives,
        times: &times,
    };
    // A HEAD that gives no lifetime leaves the stored one; it updates nothing then that would matter.
    store::storable(&candidate).is_ok()
}
