//! Paging: which part of a list a request wants. Invariant: a [`Page`] is within limits, so its offset cannot overflow.

use serde::Serialize;

use crate::error::ApiError;

const SIZE_MAX: i64 = 100;
const SIZE_DEFAULT: i64 = 20;
const NUMBER_MAX: i64 = 1_000_000;

/// A part of a list.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Page {
    number: i64,
    size: i64,
}

impl Page {
    /// From the `page` and `per_page` parameters as they came.
    pub(crate) fn parse(page: Option<&str>, per_page: Option<&str>) -> Result<Self, ApiError> {
        Ok(Page {
            number: number(page, 1, NUMBER_MAX)
                .ok_or_else(|| ApiError::bad_request("bad_page", format!("page must be 1 to {NUMBER_MAX}")))?,
            size: number(per_page, SIZE_DEFAULT, SIZE_MAX)
                .ok_or_else(|| ApiError::bad_request("bad_per_page", format!("per_page must be 1 to {SIZE_MAX}")))?,
        })
    }

    pub(crate) fn size(self) -> i64 {
        self.size
    }

    pub(crate) fn offset(self) -> i64 {
        (self.number - 1) * self.size
    }

    /// The list as it goes to the client.
    pub(crate) fn of<T>(self, items: Vec<T>, total: i64) -> Paged<T> {
        let pages = total / self.size + i64::from(total % self.size > 0);
        Paged { items, page: self.number, per_page: self.size, total, pages }
    }
}

/// One page of a list, and where it is in it.
#[derive(Debug, Serialize)]
pub(crate) struct Paged<T> {
    items: Vec<T>,
    page: i64,
    per_page: i64,
    total: i64,
    pages: i64,
}

fn number(text: Option<&str>, default: i64, max: i64) -> Option<i64> {
    let Some(text) = text else { return Some(default) };
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| digits && (1..=max).contains(number))
}
