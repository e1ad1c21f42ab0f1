//! Who may use the admin plane: bearer tokens with scopes, from a file that holds their hashes only.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// What a token allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Statistics, metrics, histories.
    Read,
    /// Purging, and reading how far a purge has come.
    Purge,
    /// Policies.
    Policy,
}

impl Scope {
    /// As the token file has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Purge => "purge",
            Self::Policy => "policy",
        }
    }
}

/// A token as the file has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listed {
    /// Who uses it: shown in the history of purges.
    pub name: String,
    /// What it allows.
    pub scopes: Vec<Scope>,
    /// The SHA-256 of the token, in hexadecimal digits.
    pub sha256: String,
}

/// The tokens that a node knows.
#[derive(Clone, Debug, Default)]
pub struct Tokens(Vec<Known>);

#[derive(Clone, Debug)]
struct Known {
    name: String,
    scopes: Vec<Scope>,
    hash: [u8; 32],
}

/// Why tokens cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokensError {
    /// The file cannot be read.
    #[error("cannot read the tokens in {file}: {source}", file = file.display())]
    Read {
        /// Which file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file does not hold tokens.
    #[error("{file} holds no tokens: {why}", file = file.display())]
    Content {
        /// Which file.
        file: PathBuf,
        /// Why.
        why: String,
    },
    /// No randomness for a new one.
    #[error("no randomness for a token: {0}")]
    Random(#[from] getrandom::Error),
}

/// What a token may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// It may; this is who.
    Allowed(&'a str),
    /// It is known, and not for that.
    NotForThat(&'a str),
    /// It is not known.
    Unknown,
}

impl Tokens {
    /// Reads a file: `[{"name": "ci", "scopes": ["purge"], "sha256": "…"}]`.
    pub fn read(file: &Path) -> Result<Self, TokensError> {
        let text = std::fs::read(file).map_err(|source| TokensError::Read { file: file.to_owned(), source })?;
        let bad = |why: String| TokensError::Content { file: file.to_owned(), why };
        let listed: Vec<Listed> = serde_json::from_slice(&text).map_err(|error| bad(error.to_string()))?;
        Self::new(&listed).map_err(bad)
    }

    /// Takes over tokens as a file has them; says which one is wrong.
    pub fn new(listed: &[Listed]) -> Result<Self, String> {
        let known = listed.iter().map(|token| {
            let hash = from_hex(&token.sha256).ok_or_else(|| {
                format!("the sha256 of {:?} is not 64 hexadecimal digits: {:?}", token.name, token.sha256)
            })?;
            Ok(Known { name: token.name.clone(), scopes: token.scopes.clone(), hash })
        });
        known.collect::<Result<_, String>>().map(Self)
    }

    /// What this token may do. Takes the same time for every token.
    pub fn judge(&self, token: &[u8], scope: Scope) -> Verdict<'_> {
        let hash: [u8; 32] = Sha256::digest(token).into();
        let mut found = None;
        for known in &self.0 {
            if bool::from(known.hash.ct_eq(&hash)) {
                found = Some(known);
            }
        }
        match found {
            Some(known) if known.scopes.contains(&scope) => Verdict::Allowed(&known.name),
            Some(known) => Verdict::NotForThat(&known.name),
            None => Verdict::Unknown,
        }
    }
}

/// A new random token, and how the file has it. The token itself is nowhere kept.
pub fn new_token(name: &str, scopes: &[Scope]) -> Result<(String, Listed), TokensError> {
    let mut random = [0u8; 32];
    getrandom::fill(&mut random)?;
    let token = format!("larder_{}", to_hex(&random));
    let sha256 = to_hex(&Sha256::digest(token.as_bytes()));
    Ok((token, Listed { name: name.to_owned(), scopes: scopes.to_vec(), sha256 }))
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0u8; 32];
    if text.len() != 64 || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(at * 2..at * 2 + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_allows_what_its_scopes_say_and_others_nothing() {
        let (token, listed) = new_token("ci", &[Scope::Purge]).expect("a token");
        let tokens = Tokens::new(&[listed]).expect("tokens");
        assert_eq!(tokens.judge(token.as_bytes(), Scope::Purge), Verdict::Allowed("ci"));
        assert_eq!(tokens.judge(token.as_bytes(), Scope::Read), Verdict::NotForThat("ci"));
        assert_eq!(tokens.judge(b"", Scope::Purge), Verdict::Unknown);
        assert_eq!(Tokens::default().judge(token.as_bytes(), Scope::Purge), Verdict::Unknown);
    }

    #[test]
    fn the_file_holds_hashes_only_and_broken_ones_are_named() {
        let (token, listed) = new_token("ci", &[Scope::Read, Scope::Purge]).expect("a token");
        let text = serde_json::to_string(&listed).expect("JSON");
        assert!(!text.contains(&token) && text.contains(r#""scopes":["read","purge"]"#), "{text}");
        let broken = Listed { sha256: "12".into(), ..listed };
        assert!(Tokens::new(&[broken]).is_err_and(|why| why.contains("ci")));
    }
}
