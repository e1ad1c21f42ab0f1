//! The three languages of the shop and which one a request gets (RFC 9110 12.5.4). Never refuses: English is the fallback.

use std::convert::Infallible;

use axum::Json;
use axum::extract::FromRequestParts;
use axum::http::header::{ACCEPT_LANGUAGE, CONTENT_LANGUAGE, VARY};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

/// A language that the shop's texts are kept in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// English, the language every product has.
    En,
    /// German.
    De,
    /// French.
    Fr,
}

impl Language {
    /// Every language, English first.
    pub const ALL: [Language; 3] = [Language::En, Language::De, Language::Fr];

    /// The language tag, as in the database and in `Content-Language`.
    pub fn tag(self) -> &'static str {
        match self {
            Language::En => "en",
            Language::De => "de",
            Language::Fr => "fr",
        }
    }

    /// The language with this tag.
    pub fn from_tag(tag: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|language| language.tag() == tag)
    }

    /// The language an `Accept-Language` value asks for: the highest weight wins, among equals the first named.
    /// `de-CH` gets German; `*` gets English; what cannot be parsed or is not spoken is passed over.
    pub fn accepted(value: &str) -> Self {
        let mut best = (Language::En, 0);
        for range in value.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let tag = parts.next().unwrap_or_default();
            let Some(weight) = weight(parts.next()) else { continue };
            let primary = tag.split('-').next().unwrap_or_default().to_ascii_lowercase();
            let language = if primary == "*" { Some(Language::En) } else { Self::from_tag(&primary) };
            if let Some(language) = language
                && weight > best.1
            {
                best = (language, weight);
            }
        }
        best.0
    }
}

/// A `q` parameter in thousandths; 1000 when there is none, `None` when it is not a weight.
fn weight(parameter: Option<&str>) -> Option<u16> {
    let Some(parameter) = parameter else { return Some(1000) };
    let q: f32 = parameter.strip_prefix("q=").or_else(|| parameter.strip_prefix("Q="))?.trim().parse().ok()?;
    (0.0..=1.0).contains(&q).then_some((q * 1000.0) as u16)
}

impl<S: Sync> FromRequestParts<S> for Language {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let lines: Vec<_> = parts.headers.get_all(ACCEPT_LANGUAGE).iter().filter_map(|v| v.to_str().ok()).collect();
        Ok(Language::accepted(&lines.join(",")))
    }
}

/// A JSON answer in a language: says which in `Content-Language`, and that another was possible in `Vary`.
pub(crate) struct Translated<T>(pub Language, pub T);

impl<T: Serialize> IntoResponse for Translated<T> {
    fn into_response(self) -> Response {
        ([(CONTENT_LANGUAGE, self.0.tag()), (VARY, "Accept-Language")], Json(self.1)).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::Language::{self, De, En, Fr};

    #[test]
    fn the_wanted_language_is_found_or_english_is_given() {
        let cases = [
            ("de", De),
            ("DE-ch", De),
            ("fr-FR, en;q=0.8, de;q=0.9", Fr),
            ("en;q=0.5, de;q=0.7, fr;q=0.6", De),
            ("de;q=0.5, fr;q=0.5", De),
            ("ja, fr;q=0.1", Fr),
            ("*", En),
            ("*;q=0.1, de", De),
            ("ja", En),
            ("de;q=0", En),
            ("", En),
            (" , ;;; de;q=x", En),
            ("de;q=7", En),
        ];
        for (header, wanted) in cases {
            assert_eq!(Language::accepted(header), wanted, "{header:?}");
        }
    }
}
