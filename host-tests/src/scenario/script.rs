//! The origin's side: which scripted answer a request gets.
//!
//! Answers to one method and target are given in order, each once, the last one as often as it is asked for.

use super::executor::{Lines, SentAnswer, SentReaction, SentRequest};
use super::model::{Answer, Asked, Line, Reaction};
use super::text::{Scope, expand};

#[derive(Debug, Default)]
pub(super) struct Script {
    answers: Vec<(Answer, bool)>,
}

impl Script {
    pub(super) fn add(&mut self, answer: Answer) {
        self.answers.push((answer, false));
    }

    /// The answer that this request gets, used up by it.
    pub(super) fn take(&mut self, request: &SentRequest, host: &str) -> Option<Answer> {
        let index = self.find(request, host)?;
        self.use_up(index);
        self.answers.get(index).map(|(answer, _)| answer.clone())
    }

    /// What the origin would do with this request, and the place of that answer.
    pub(super) fn next_reaction(&self, request: &SentRequest, host: &str) -> Option<(usize, Reaction)> {
        let index = self.find(request, host)?;
        self.answers.get(index).map(|(answer, _)| (index, answer.reaction))
    }

    pub(super) fn use_up(&mut self, index: usize) {
        if let Some((_, used)) = self.answers.get_mut(index) {
            *used = true;
        }
    }

    fn find(&self, request: &SentRequest, host: &str) -> Option<usize> {
        let fits = |exact: bool| {
            let matching = self.answers.iter().enumerate().filter(move |(_, (answer, _))| {
                exact != answer.asked.target.ends_with('*') && is_asked(&answer.asked, request, host)
            });
            let mut last = None;
            for (index, (_, used)) in matching {
                if !used {
                    return Some(index);
                }
                last = Some(index);
            }
            last
        };
        fits(true).or_else(|| fits(false))
    }
}

/// Whether a request is of this method and target. A target without a host fits the scenario's hosts all.
pub(super) fn is_asked(asked: &Asked, request: &SentRequest, host: &str) -> bool {
    let target = asked.target.replace("{host}", host);
    let named = target.starts_with("http");
    let (scheme, authority, path) = target_parts(&target, host);
    let same_host = !named || (scheme == request.scheme && authority == request.authority);
    let same_path = match path.strip_suffix('*') {
        Some(prefix) => request.target.starts_with(prefix),
        None => request.target == path,
    };
    asked.method == request.method && same_host && same_path
}

/// Scheme, authority and path of a target.
pub(super) fn target_parts<'a>(target: &'a str, host: &'a str) -> (&'a str, &'a str, &'a str) {
    let Some((scheme, rest)) = target.split_once("://").filter(|_| !target.starts_with('/')) else {
        return ("http", host, target);
    };
    match rest.find('/') {
        Some(at) => (scheme, &rest[..at], &rest[at..]),
        None => (scheme, rest, "/"),
    }
}

/// An answer with its placeholders filled in.
pub(super) fn sent(answer: &Answer, scope: &Scope<'_>) -> Result<SentAnswer, String> {
    let lines = |lines: &[Line]| -> Result<Lines, String> {
        lines.iter().map(|line| Ok((line.name.clone(), expand(&line.value, scope)?.into_bytes()))).collect()
    };
    let mut interim = Vec::new();
    for (status, line) in &answer.interim {
        interim.push((*status, lines(std::slice::from_ref(line))?));
    }
    Ok(SentAnswer {
        reaction: match answer.reaction {
            Reaction::Respond(status) => SentReaction::Respond(status),
            Reaction::Refuse => SentReaction::Refuse,
            Reaction::Reset => SentReaction::Reset,
            Reaction::Silence => SentReaction::Silence,
        },
        fields: lines(&answer.fields)?,
        body: answer.body.bytes(),
        trailers: lines(&answer.trailers)?,
        interim,
        chunked: answer.chunked,
        cut_after: answer.cut_after,
    })
}
