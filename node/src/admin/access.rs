//! Who asks, and whether they may.

use axum::http::{HeaderMap, StatusCode, header};

use super::problem::Problem;
use crate::shared::Shared;
use crate::tokens::{Scope, Verdict};

/// Who asks where nobody has to say: the node listens on loopback only.
const LOCAL: &str = "local";

/// Who asks, where they may.
pub(super) fn allow<'a>(shared: &'a Shared, headers: &HeaderMap, scope: Scope) -> Result<&'a str, Problem> {
    let Some(tokens) = &shared.tokens else { return Ok(LOCAL) };
    let Some(token) = bearer(headers) else {
        return Err(Problem::new(StatusCode::UNAUTHORIZED, "send a token: Authorization: Bearer ..."));
    };
    match tokens.judge(token, scope) {
        Verdict::Allowed(who) => Ok(who),
        Verdict::NotForThat(who) => {
            let detail = format!("the token of {who} has not the scope {}", scope.as_str());
            Err(Problem::new(StatusCode::FORBIDDEN, detail))
        }
        Verdict::Unknown => Err(Problem::new(StatusCode::UNAUTHORIZED, "this token is not known")),
    }
}

fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_what_follows_bearer() {
        for (value, want) in [
            ("Bearer abc", Some("abc")),
            ("bearer  abc ", Some("abc")),
            ("Basic abc", None),
            ("Bearer", None),
            ("", None),
        ] {
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().expect("a value"))]);
            assert_eq!(bearer(&headers), want.map(str::as_bytes), "{value}");
        }
    }
}
