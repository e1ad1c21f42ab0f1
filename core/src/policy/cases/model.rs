//! A file of test cases as types. The schema is made from these, doc comments included, so they are written for whoever
//! writes tests of a policy.

use super::values::{
    Asked, Base, BodySpec, Count, FieldLines, FieldTest, Label, Number, OriginTest, Path, Status, StatusTest, Title,
};
use crate::policy::decode::{Named, object, words};
use crate::policy::model::{FieldName, FieldValue, Version, Wait};

object! {
    /// Test cases of a cache policy, for `larder test`.
    pub struct CaseFile {
        required {
            /// The version of the format: 1.
            pub version: Version = "version",
            /// The policy's file, seen from this one's folder.
            pub policy: Path = "policy",
            /// The cases. Each begins with an empty cache.
            pub cases: Vec<Case> = "cases",
        }
        /// Where this schema is, for editors.
        pub schema: String = "$schema",
        /// What is tested.
        pub description: String = "description",
        /// A remark.
        pub comment: String = "comment",
        /// Scheme and host of requests that are written with a path alone. Default: `http://api.test`.
        pub base: Base = "base",
        /// What the origin answers in every case, where a case has no answer of its own to the same method and target.
        pub origin: Vec<OriginAnswer> = "origin",
    }
}

object! {
    /// One case.
    pub struct Case {
        list_max = 10000,
        required {
            /// What holds, in a sentence.
            pub name: Title = "name",
            /// What happens, in order. The case ends at the first step that comes out otherwise than expected.
            pub steps: Vec<CaseStep> = "steps",
        }
        /// A remark.
        pub comment: String = "comment",
        /// What the origin answers. Of several answers to the same method and target each is given once, in order, and the last
        /// as often as it is asked for.
        pub origin: Vec<OriginAnswer> = "origin",
    }
}

words! {
    /// How an origin fails.
    pub enum OriginFailure {
        /// No connection.
        Refused = "refused",
        /// The connection is cut before an answer.
        Reset = "reset",
        /// No answer until the proxy gives up.
        Silence = "silence",
    }
}

object! {
    /// An answer of the origin.
    pub struct OriginAnswer {
        required {
            /// To which requests: `GET /v1/products/7`; `GET /v1/*` is all that begin so, `GET https://other.test/a` names a host.
            pub request: Asked = "request",
        }
        /// A remark.
        pub comment: String = "comment",
        /// The status. Default: 200.
        pub status: Status = "status",
        /// Its fields, a text or a list of texts (a line each).
        pub headers: Named<FieldName, FieldLines> = "headers",
        /// Its body. Default: none.
        pub body: BodySpec = "body",
        /// It fails instead of answering.
        pub fails: OriginFailure = "fails",
        /// How long it takes. Default: no time.
        pub after: Wait = "after",
        /// Waits for a `release` step.
        pub held: bool = "held",
    }
}

object! {
    /// A step: a request, time that passes, an answer of the origin from now on, or what lets requests run at the same time.
    pub struct CaseStep {
        list_max = 10000,
        /// A remark.
        pub comment: String = "comment",
        /// A client's request: `GET /v1/products/7`, or with a URL. It is answered before the next step, unless it has a name (`as`).
        pub request: Asked = "request",
        /// The request's fields, a text or a list of texts (a line each).
        pub headers: Named<FieldName, FieldLines> = "headers",
        /// The request's body.
        pub body: BodySpec = "body",
        /// Lets the request run on by itself, under this name.
        pub name: Label = "as",
        /// What must come of the request.
        pub expect: Expect = "expect",
        /// Time that passes.
        pub wait: Wait = "wait",
        /// Another answer of the origin, after those that it has.
        pub origin: OriginAnswer = "origin",
        /// Lets the oldest `held` answer to such a request go.
        pub release: Asked = "release",
        /// Looks at what the request of this name got.
        pub answer: Label = "answer",
    }
}

object! {
    /// What must come of a request. What is not named is not compared.
    pub struct Expect {
        /// The status; `"closed"`: the connection is closed without an answer.
        pub status: StatusTest = "status",
        /// Fields of the answer, each a text that it must be, `true` (it is there), `false` (it is not there), or more by an object.
        pub headers: Named<FieldName, FieldTest> = "headers",
        /// What `Cache-Status` says (RFC 9211).
        pub cache: CacheExpect = "cache",
        /// The body.
        pub body: BodySpec = "body",
        /// Whether the origin was asked since the request was sent, background refreshes included; by an object: how the last request was.
        pub origin: OriginTest = "origin",
    }
}

words! {
    /// Why a request went on to the origin (RFC 9211 2.2).
    pub enum Fwd {
        /// The policy or the request kept it from the cache.
        Bypass = "bypass",
        /// The method is not for caches.
        Method = "method",
        /// Nothing is stored for this URL.
        UriMiss = "uri-miss",
        /// What is stored was chosen by other request fields.
        VaryMiss = "vary-miss",
        /// Nothing is stored.
        Miss = "miss",
        /// The request's own directives.
        Request = "request",
        /// What is stored is stale.
        Stale = "stale",
        /// What is stored is only a part.
        Partial = "partial",
    }
}

object! {
    /// What `Cache-Status` must say (RFC 9211 2). What is not named is not compared.
    pub struct CacheExpect {
        /// Answered without the origin.
        pub hit: bool = "hit",
        /// Why the origin was asked.
        pub fwd: Fwd = "fwd",
        /// The status that the origin answered with, where it is not the client's.
        pub fwd_status: Status = "fwd_status",
        /// The origin's answer was stored.
        pub stored: bool = "stored",
        /// The request shared another's.
        pub collapsed: bool = "collapsed",
        /// How many seconds more it is fresh; negative: it has been stale for so long. `jitter` cuts lifetimes.
        pub ttl: Number = "ttl",
        /// The detail: why something was not stored, and more.
        pub detail: FieldValue = "detail",
    }
}

object! {
    /// How a request at the origin must be.
    pub struct OriginExpect {
        /// How many requests came since the client sent its own. Default: at least one.
        pub requests: Count = "requests",
        /// Method and target of the last of them.
        pub request: Asked = "request",
        /// Its fields, as those of answers.
        pub headers: Named<FieldName, FieldTest> = "headers",
        /// Its body.
        pub body: BodySpec = "body",
    }
}

object! {
    /// What a field must be.
    pub struct FieldExpect {
        /// All of its lines, joined by commas.
        pub is: FieldValue = "is",
        /// Parts of it, between commas and semicolons.
        pub has: Vec<FieldValue> = "has",
        /// What none of its parts is.
        pub has_not: Vec<FieldValue> = "has_not",
        /// Remembers the value: `{NAME}` in later values of the case stands for it.
        pub save: Label = "save",
    }
}

object! {
    /// A body of so many bytes.
    pub struct BodyBytes {
        required {
            /// How many.
            pub bytes: Count = "bytes",
        }
    }
}
