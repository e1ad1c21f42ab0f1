//! ETags made from a body: SHA-256, 128 bits of it, base64url.
//!
//! Strong by default: equal tags mean equal bytes. Distinct per content coding, since a coding is part of what a
//! strong validator stands for (RFC 9110 8.8.3.3), even where two codings happen to give the same bytes.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::field::etag::EntityTag;

/// Computes an ETag over a body that arrives in pieces.
#[derive(Clone, Debug, Default)]
pub struct Hasher(Sha256);

impl Hasher {
    /// Starts with nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in the next piece.
    pub fn update(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    /// The ETag of what was taken in, for a representation of this content coding (`None` is identity).
    pub fn finish(self, content_coding: Option<&[u8]>, weak: bool) -> EntityTag {
        let digest = self.0.finalize();
        let half = digest.get(..16).unwrap_or_default();
        let mut opaque = URL_SAFE_NO_PAD.encode(half).into_bytes();
        if let Some(coding) = content_coding {
            let coding = coding.to_ascii_lowercase();
            if !coding.is_empty() && coding != b"identity" {
                opaque.push(b'-');
                opaque.extend(coding.into_iter().filter(u8::is_ascii_alphanumeric).take(16));
            }
        }
        EntityTag { weak, opaque }
    }
}

/// The ETag of a whole body.
pub fn of_body(body: &[u8], content_coding: Option<&[u8]>, weak: bool) -> EntityTag {
    let mut hasher = Hasher::new();
    hasher.update(body);
    hasher.finish(content_coding, weak)
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn a_tag_is_128_bits_of_sha_256_and_names_its_coding() {
        // SHA-256("") begins e3b0c44298fc1c149afbf4c8996fb924.
        assert_eq!(of_body(b"", None, false).to_bytes(), b"\"47DEQpj8HBSa-_TImW-5JA\"");
        assert_eq!(of_body(b"", Some(b"br"), false).to_bytes(), b"\"47DEQpj8HBSa-_TImW-5JA-br\"");
        assert_eq!(of_body(b"", Some(b"identity"), true).to_bytes(), b"W/\"47DEQpj8HBSa-_TImW-5JA\"");
    }

    #[test]
    fn pieces_do_not_matter() {
        let mut hasher = Hasher::new();
        for piece in [&b"he"[..], b"", b"llo"] {
            hasher.update(piece);
        }
        assert_eq!(hasher.finish(None, false), of_body(b"hello", None, false));
    }
}
