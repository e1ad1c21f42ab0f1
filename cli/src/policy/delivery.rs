//! Waiting until workers have taken something up.

use std::time::{Duration, Instant};

use clap::Args;
use serde_json::Value;

use super::words::text;
use crate::ask::{Asker, at};
use crate::paint::Paint;

/// So often it is said how far it has come.
const STEP: Duration = Duration::from_millis(500);

/// Whether and how long to wait.
#[derive(Clone, Debug, Args)]
pub struct Waits {
    /// Wait this long until every worker has it
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = crate::purge::span)]
    wait: Duration,

    /// Do not wait
    #[arg(long, conflicts_with = "wait")]
    no_wait: bool,
}

/// How far it has come, and how long that took.
#[derive(Debug)]
pub struct Delivery {
    pub said: Value,
    pub took: Duration,
}

impl Waits {
    /// Waits until every worker that a node knows has answered; says meanwhile how many have, where somebody is to be told.
    pub fn until_delivered(
        &self,
        asker: &Asker,
        name: &str,
        generation: u64,
        is_told: bool,
    ) -> anyhow::Result<Option<Delivery>> {
        if self.no_wait {
            return Ok(None);
        }
        let (began, mut told) = (Instant::now(), String::new());
        loop {
            let left = self.wait.saturating_sub(began.elapsed());
            let step = left.min(STEP);
            let path = format!("/v1/policies/{name}/delivery?generation={generation}&wait={}ms", step.as_millis());
            let delivery = Delivery { said: asker.read(&path, step)?, took: began.elapsed() };
            if delivery.list("behind").is_empty() || left.is_zero() {
                return Ok(Some(delivery));
            }
            let numbers = delivery.numbers();
            if is_told && numbers != told {
                eprintln!("{}: {numbers}", asker.url);
                told = numbers;
            }
        }
    }
}

impl Delivery {
    pub fn is_delivered(&self) -> bool {
        at(&self.said, "/delivered").as_bool() == Some(true)
    }

    /// `3 of 4 workers have it`
    fn numbers(&self) -> String {
        let all = ["current", "behind", "refused"].map(|state| self.list(state).len()).iter().sum::<usize>();
        format!("{} of {all} workers have it", self.list("current").len())
    }

    /// What came of it, a line each.
    pub fn lines(&self, paint: Paint) -> Vec<String> {
        let (refused, behind, silent) = (self.list("refused"), self.list("behind"), self.list("silent"));
        let numbers = self.numbers();
        let mut lines = Vec::new();
        if self.list("current").is_empty() && refused.is_empty() && behind.is_empty() {
            lines.push(
                "no worker that takes up this policy polls this node now: they get it with their first poll".to_owned(),
            );
        } else if self.is_delivered() {
            lines.push(format!("{}, after {} ms", paint.good(&numbers), self.took.as_millis()));
        } else {
            lines.push(paint.bad(&numbers));
        }
        for refusing in refused {
            let (worker, why) = (text(at(refusing, "/worker")), text(at(refusing, "/why")));
            let mut why = why.lines();
            lines.push(format!("{}: {}", paint.bad(&format!("refused by {worker}")), why.next().unwrap_or_default()));
            lines.extend(why.map(|line| format!("  {line}")));
        }
        lines.extend(behind.iter().map(|worker| format!("not yet: {}", text(worker))));
        if !silent.is_empty() {
            lines.push(format!("not heard from lately: {}; they get it with their next poll", silent.len()));
        }
        lines
    }

    fn list(&self, state: &str) -> &[Value] {
        at(&self.said, &format!("/workers/{state}")).as_array().map(Vec::as_slice).unwrap_or_default()
    }
}
