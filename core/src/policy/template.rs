//! Templates over path parameters: `product:{id}`.

/// Named values taken from a request's path by its route.
pub type Params = Vec<(String, String)>;

/// A parsed template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Param(String),
}

impl Template {
    /// Fills in `params`; `None` where one is missing.
    pub fn expand(&self, params: &Params) -> Option<String> {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Text(literal) => text.push_str(literal),
                Part::Param(name) => text.push_str(&params.iter().find(|(n, _)| n == name)?.1),
            }
        }
        Some(text)
    }
}
