//! The file as a whole: classes and routes.

use super::settings::Settings;
use super::values::{Method, Name, Version};
use crate::policy::decode::{Cx, Decode, Named, Overlay, object, words};
use crate::policy::hosts::HostPattern;
use crate::policy::path::PathTemplate;
use crate::policy::rules::Kind;
use crate::policy::spanned::{Node, Value};

object! {
    /// A cache policy for Larder.
    pub struct PolicyFile {
        required {
            /// The version of the format: 1.
            pub version: Version = "version",
            /// The policy's name, as statistics show it.
            pub name: Name = "name",
        }
        /// Where this schema is, for editors.
        pub schema: String = "$schema",
        /// What the policy is for.
        pub description: String = "description",
        /// A remark.
        pub comment: String = "comment",
        /// Settings for everything, requests that no route matches included.
        pub defaults: Settings = "defaults",
        /// What kinds of resources there are, by name. `static`, `reference`, `catalog`, `volatile`, `personal` and `never` are there
        /// already and can be changed here.
        pub classes: Named<Name, Class> = "classes",
        /// Which requests belong to which class. The most specific path wins; among routes of the same path, the first
        /// one in the file whose host and method match.
        pub routes: Vec<Route> = "routes",
    }
}

words! {
    /// What kind of resource a class describes: a set of presets, under `defaults`.
    pub enum KindWord {
        /// Files that never change under their name: a day where the origin says nothing, `immutable` where the ttl is fixed.
        Static = "static",
        /// Data that hardly ever changes: an hour where the origin says nothing, a strong ETag.
        Reference = "reference",
        /// Data that changes now and then: a minute where the origin says nothing, a strong ETag.
        Catalog = "catalog",
        /// Data that changes all the time: a second where the origin says nothing, a strong ETag.
        Volatile = "volatile",
        /// One user's data: `private, no-cache` and an ETag; not stored unless `key.user` tells users apart.
        Personal = "personal",
        /// Never stored, passed on untouched.
        Never = "never",
    }
}

impl KindWord {
    /// The kind as the compiled rules know it.
    pub const fn kind(self) -> Kind {
        match self {
            Self::Static => Kind::Static,
            Self::Reference => Kind::Reference,
            Self::Catalog => Kind::Catalog,
            Self::Volatile => Kind::Volatile,
            Self::Personal => Kind::Personal,
            Self::Never => Kind::Never,
        }
    }
}

words! {
    /// Lets the policy win over `private`, `no-store`, `no-cache` and identity.
    pub enum OverrideWord {
        /// In so many words.
        Unsafe = "unsafe",
    }
}

object! {
    /// A class of resources.
    pub struct Class {
        /// Whose presets it has. A class named like a kind is of that kind; any other has no presets without this.
        pub kind: KindWord = "kind",
        /// What the class is for.
        pub description: String = "description",
        /// A remark.
        pub comment: String = "comment",
        /// Lets the class win over the origin's `private`, `no-store` and `no-cache` and over identity. Know what you do.
        pub override_unsafe: OverrideWord = "override",
        flatten {
            /// The class's settings.
            pub settings: Settings,
        }
    }
}

object! {
    /// Requests that are treated alike.
    pub struct Route {
        list_max = 20000,
        required {
            /// The route's name, as statistics show it.
            pub name: Name = "name",
            /// A path: `/v1/products`, `/v1/products/{id}` (one segment), `/assets/{*rest}` (any rest).
            pub path: PathTemplate = "path",
        }
        /// A host or a list of hosts: `api.example.com` (any port), `api.example.com:8443`, `*.example.com`. Default: any.
        pub host: Hosts = "host",
        /// Methods; `GET` is good for `HEAD`, too. Default: all.
        pub methods: Vec<Method> = "methods",
        /// The class. Left out: nothing but `defaults` and what the route itself says.
        pub class: Name = "class",
        /// What the route is for.
        pub description: String = "description",
        /// A remark.
        pub comment: String = "comment",
        /// Lets the route win over the origin's `private`, `no-store` and `no-cache` and over identity. Know what you do.
        pub override_unsafe: OverrideWord = "override",
        flatten {
            /// The route's settings.
            pub settings: Settings,
        }
    }
}

/// One host or several.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum Hosts {
    /// One.
    One(HostPattern),
    /// Any of these.
    Several(Vec<HostPattern>),
}

impl Hosts {
    /// The patterns.
    pub fn patterns(&self) -> &[HostPattern] {
        match self {
            Self::One(host) => std::slice::from_ref(host),
            Self::Several(hosts) => hosts,
        }
    }
}

impl Decode for Hosts {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        match &node.value {
            Value::Array(_) => Vec::decode(node, cx).map(Self::Several),
            Value::String(_) => HostPattern::decode(node, cx).map(Self::One),
            _ => cx.expected(node, "a host or a list of hosts"),
        }
    }
}

impl Overlay for Hosts {
    fn overlay(&mut self, over: &Self) {
        self.clone_from(over);
    }
}
