//! What a write changes, as tags. The one place beside the policy where tags are named.

/// What a write has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Changed {
    /// A product, or it is new: a 404 for it may be stored, too.
    Product(i64),
    /// A product is gone, and its pictures with it.
    ProductGone(i64),
    /// Nothing but the price of a product.
    Price(i64),
}

impl Changed {
    /// The tags of everything that may show it.
    pub(crate) fn tags(self) -> Vec<String> {
        let lists = || "product-lists".to_owned();
        // How many products a category has is part of it.
        let categories = || "categories".to_owned();
        match self {
            Self::Product(id) => vec![format!("product:{id}"), lists(), categories()],
            Self::ProductGone(id) => {
                let pictures = ["jpg", "png"].map(|format| format!("image:{id}.{format}"));
                [vec![format!("product:{id}"), lists(), categories()], pictures.into()].concat()
            }
            Self::Price(id) => vec![format!("product:{id}"), lists()],
        }
    }
}
