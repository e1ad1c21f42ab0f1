//! From located JSON to the model, collecting every error on the way.
//!
//! Decides shapes and the syntax of single values; what only makes sense in combination is checked by `compile`.
//! The objects of the model are declared by one macro ([`object!`]) that makes the struct, its schema, the list of
//! its field names, its decoder and how one lies over another from the same tokens, so that these cannot drift apart.

mod containers;
mod macros;
mod misplaced;

pub(crate) use containers::Key;
pub use containers::Named;
pub(crate) use macros::{object, text, words};

use super::errors::{Collected, Problem, Step};
use super::nearest::nearest;
use super::spanned::{Member, Node, Quoted, Value};

/// A part of the model that can be read from JSON. Errors go to the context; `None` means that there was at least one.
pub(crate) trait Decode: Sized {
    /// Longest list of these that is taken.
    const LIST_MAX: usize = 256;
    /// Whether a list is of use without those of its items that could not be read.
    const LIST_IN_PARTS: bool = false;
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self>;
}

/// How settings lie over one another: objects by field, everything else as a whole.
pub(crate) trait Overlay {
    /// Lays `over` over `self`.
    fn overlay(&mut self, over: &Self);
}

/// An object of the model.
pub(crate) trait Object: Default {
    /// Names of all fields.
    fn fields() -> Vec<&'static str>;
    /// Names of the fields that must be there.
    fn required() -> Vec<&'static str>;
    /// Reads the field that `member` names; false where there is no such field.
    fn member(&mut self, member: &Member, cx: &mut Cx) -> bool;
}

/// Where the decoder is, and what it has found wrong.
pub(crate) struct Cx {
    pub errors: Collected,
    path: Vec<Step>,
    /// Whether a field that is unknown may belong elsewhere in a policy.
    in_policy: bool,
}

impl Cx {
    pub const fn new() -> Self {
        Self { errors: Collected::new(), path: Vec::new(), in_policy: true }
    }

    /// For what is no policy.
    pub const fn without_policy_hints() -> Self {
        Self { errors: Collected::new(), path: Vec::new(), in_policy: false }
    }

    /// Decodes `node`, which is the part `step` of what is being decoded.
    pub fn within<T: Decode>(&mut self, step: impl Into<Step>, node: &Node) -> Option<T> {
        self.path.push(step.into());
        let decoded = T::decode(node, self);
        self.path.pop();
        decoded
    }

    /// Notes a problem at `at`, in what is being decoded.
    pub fn problem(&mut self, at: usize, problem: Problem) {
        self.errors.add(at, &self.path, problem);
    }

    /// Notes a problem with the part `step` of what is being decoded.
    fn problem_in(&mut self, step: impl Into<Step>, at: usize, problem: Problem) {
        self.path.push(step.into());
        self.problem(at, problem);
        self.path.pop();
    }

    /// Notes that `node` is not what it should be.
    pub fn expected<T>(&mut self, node: &Node, expected: impl Into<String>) -> Option<T> {
        self.problem(node.at, Problem::expected(expected).found(node.describe()));
        None
    }
}

/// Decodes an object: every known field, and an error for each that is unknown, repeated or missing.
pub(crate) fn decode_object<T: Object>(node: &Node, cx: &mut Cx) -> Option<T> {
    let Value::Object(members) = &node.value else { return cx.expected(node, "an object") };
    let mut object = T::default();
    for (index, member) in members.iter().enumerate() {
        if is_repeated(members, index) {
            cx.problem_in(member.key.as_str(), member.key_at, Problem::new("this field is here twice"));
        } else if !object.member(member, cx) {
            // Hints cost more than errors: none for those that are only counted.
            let full = cx.errors.is_full();
            let problem =
                if full { Problem::default() } else { unknown_field(&member.key, &T::fields(), cx.in_policy) };
            cx.problem_in(member.key.as_str(), member.key_at, problem);
        }
    }
    for name in T::required() {
        if !members.iter().any(|member| member.key == name) {
            cx.problem(node.at, Problem::new(format!("the field \"{name}\" is missing")));
        }
    }
    Some(object)
}

/// A field that is not among `known`: where it belongs, what it is called here, or what it was probably meant to be.
fn unknown_field(name: &str, known: &[&'static str], in_policy: bool) -> Problem {
    let problem = Problem::new(format!("unknown field {}", Quoted(name)));
    if let Some(place) = misplaced::place_of(name).filter(|_| in_policy) {
        return Problem::new(format!("{} {place}, not here", Quoted(name)));
    }
    let known_as = misplaced::known_as(name, known).filter(|_| in_policy);
    match known_as.or_else(|| nearest(name, known.iter().copied())) {
        Some(name) => problem.nearest(Some(name)),
        None => problem.and_expected(format!("one of {}", known.join(", "))),
    }
}

/// Whether a member of the same name comes before `index`. Large objects are looked through in one go elsewhere
/// ([`containers`]); those of the model have few fields, and a hostile one is cut short by the limit.
fn is_repeated(members: &[Member], index: usize) -> bool {
    const LOOKED_AT_MAX: usize = 256;
    let Some(member) = members.get(index) else { return false };
    members.iter().take(index.min(LOOKED_AT_MAX)).any(|earlier| earlier.key == member.key)
}

impl Decode for bool {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        match node.value {
            Value::Bool(value) => Some(value),
            _ => cx.expected(node, "true or false"),
        }
    }
}

impl Decode for String {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        match node.value.as_str() {
            Some(text) => Some(text.to_owned()),
            None => cx.expected(node, "a string"),
        }
    }
}

impl Decode for u32 {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        match &node.value {
            Value::Number(text) if let Ok(number) = text.parse() => Some(number),
            _ => cx.expected(node, "a whole number"),
        }
    }
}

macro_rules! overlay_whole {
    ($($type:ty),*) => { $( impl Overlay for $type {
        fn overlay(&mut self, over: &Self) { self.clone_from(over); }
    } )* };
}
overlay_whole!(bool, String, u32);

impl<T> Overlay for Vec<T>
where
    T: Clone,
{
    fn overlay(&mut self, over: &Self) {
        self.clone_from(over);
    }
}

impl<T: Overlay + Clone> Overlay for Option<T> {
    fn overlay(&mut self, over: &Self) {
        match (self.as_mut(), over) {
            (_, None) => {}
            (Some(under), Some(over)) => under.overlay(over),
            (None, Some(over)) => *self = Some(over.clone()),
        }
    }
}
