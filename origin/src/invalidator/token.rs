//! The bearer token for the admin plane: given, or read from a file again and again, so that a new one counts at once.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use http::HeaderValue;

use super::errors::BuildError;

/// A token, or none. Never shown.
pub(super) struct Token {
    value: Mutex<Option<HeaderValue>>,
    file: Option<PathBuf>,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token")
    }
}

impl Token {
    pub(super) fn given(token: Option<&str>) -> Result<Self, BuildError> {
        let value = token.map(bearer).transpose().map_err(BuildError::Token)?;
        Ok(Self { value: Mutex::new(value), file: None })
    }

    pub(super) fn in_file(file: PathBuf) -> Result<Self, BuildError> {
        let token = Self { value: Mutex::default(), file: Some(file) };
        token.read().map_err(BuildError::Token)?;
        Ok(token)
    }

    /// Another one from now on; until the file, if there is one, says otherwise.
    pub(super) fn set(&self, token: &str) -> Result<(), String> {
        let value = bearer(token)?;
        *self.lock() = Some(value);
        Ok(())
    }

    /// The field's value as of now. A file that cannot be read leaves what it held before.
    pub(super) fn value(&self) -> Option<HeaderValue> {
        if let Err(why) = self.read() {
            tracing::warn!(target: "larder::invalidator", why, "using the token as it was read before");
        }
        self.lock().clone()
    }

    fn read(&self) -> Result<(), String> {
        let Some(file) = &self.file else { return Ok(()) };
        let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
        self.set(text.trim()).map_err(|why| format!("{}: {why}", file.display()))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<HeaderValue>> {
        // Nothing panics while it is held.
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bearer(token: &str) -> Result<HeaderValue, String> {
    if token.is_empty() {
        return Err("the token is empty".to_owned());
    }
    let mut value = HeaderValue::try_from(format!("Bearer {token}"))
        .map_err(|_| "the token has characters that no header field can carry".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_again_and_a_bad_one_changes_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("token");
        assert!(Token::in_file(file.clone()).is_err());
        std::fs::write(&file, "one\n").expect("written");
        let token = Token::in_file(file.clone()).expect("a token");
        let value = || token.value().map(|value| value.to_str().expect("text").to_owned());
        assert_eq!(value().as_deref(), Some("Bearer one"));
        for (text, want) in [("two", "Bearer two"), ("", "Bearer two"), ("a\u{1}b", "Bearer two"), ("3", "Bearer 3")] {
            std::fs::write(&file, text).expect("written");
            assert_eq!(value().as_deref(), Some(want));
        }
        assert_eq!(format!("{token:?}"), "Token");
    }
}
