//! What every store of policies must do. Each check is given a fresh, empty store.

use std::sync::Arc;

use larder_core::cluster::message::POLICY_BYTES_MAX;
use larder_core::time::Timestamp;
use larder_node::policies::{
    Change, NAMES_MAX, Next, Outcome, PoliciesError, PolicyStore, Record, Records, VERSIONS_MAX,
};

/// What comes of a push.
pub fn pushed(record: Option<&Record>, text: &str) -> Next {
    changed(record, &Change::Push { text, comment: "why \"so\"", shadow: false, again: false })
}

pub fn changed(record: Option<&Record>, change: &Change<'_>) -> Next {
    match Record::change(record, change, None, "ci", Timestamp(1_800_000_000_000)).expect("a change") {
        Outcome::Next(next) => *next,
        Outcome::Unchanged => panic!("unchanged"),
    }
}

pub async fn records(store: &dyn PolicyStore) -> Records {
    store.records(None).await.expect("records").expect("whatever was seen")
}

/// Pushes a text, and says what there is then.
pub async fn push(store: &dyn PolicyStore, name: &str, text: &str) -> Record {
    let there = records(store).await.records.remove(name);
    let next = pushed(there.as_ref(), text);
    assert_eq!(store.replace(name, there.map(|there| there.generation), &next).await, Ok(true));
    next.record
}

pub async fn active(store: &dyn PolicyStore, name: &str) -> Option<String> {
    let record = records(store).await.records.remove(name)?;
    store.text(name, record.active_version()?).await.expect("a text")
}

/// Everything that one fresh store is put to.
pub async fn check(store: Arc<dyn PolicyStore>) {
    what_was_put_there_is_there(&*store).await;
    marks_change_with_every_change_and_not_otherwise(&*store).await;
    a_record_that_is_another_one_by_now_stays(&*store).await;
    of_many_at_once_one_does_it(&store).await;
    what_is_no_longer_kept_is_gone(&*store).await;
    limits(&*store).await;
}

async fn what_was_put_there_is_there(store: &dyn PolicyStore) {
    assert_eq!(records(store).await.records.len(), 0, "a fresh store is empty");
    let odd = "{\"ä\":\"\\u0000\"}\r\n \0 é".to_owned();
    let long = "x".repeat(POLICY_BYTES_MAX);
    for text in [odd, long, String::new()] {
        let record = push(store, "shop", &text).await;
        let all = records(store).await;
        assert_eq!(all.records.into_iter().collect::<Vec<_>>(), [("shop".to_owned(), record.clone())]);
        assert_eq!(active(store, "shop").await, Some(text));
    }
    let record = push(store, "shop", "4").await;
    let unknown = larder_node::policies::Version { version: 9, ..record.versions[0].clone() };
    assert_eq!(store.text("shop", &unknown).await, Ok(None));
    assert_eq!(store.text("other", &record.versions[0]).await, Ok(None));
    let back = changed(Some(&record), &Change::Rollback { to: Some(1) });
    assert_eq!(store.replace("shop", Some(record.generation), &back).await, Ok(true));
    assert!(active(store, "shop").await.is_some_and(|text| text.contains('ä')));
}

async fn marks_change_with_every_change_and_not_otherwise(store: &dyn PolicyStore) {
    let seen = records(store).await.mark;
    assert_eq!(store.records(Some(&seen)).await, Ok(None));
    push(store, "marks", "a").await;
    let now = store.records(Some(&seen)).await.expect("records").expect("something else");
    assert!(now.mark != seen && now.records.contains_key("marks"));
    assert_eq!(store.records(Some(&now.mark)).await, Ok(None));
}

async fn a_record_that_is_another_one_by_now_stays(store: &dyn PolicyStore) {
    let first = push(store, "late", "a").await;
    let second = push(store, "late", "b").await;
    let late = pushed(Some(&first), "late");
    for from in [Some(first.generation), None, Some(1)] {
        assert_eq!(store.replace("late", from, &late).await, Ok(false), "{from:?}");
    }
    assert_eq!(store.replace("never", Some(first.generation), &late).await, Ok(false));
    let all = records(store).await.records;
    assert_eq!((all.get("late"), all.get("never")), (Some(&second), None));
    assert_eq!(active(store, "late").await.as_deref(), Some("b"), "nor was its text written over");
}

async fn of_many_at_once_one_does_it(store: &Arc<dyn PolicyStore>) {
    let base = push(&**store, "race", "base").await;
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..20 {
        let (store, base) = (store.clone(), base.clone());
        tasks.spawn(async move {
            let next = pushed(Some(&base), &format!("text {number}"));
            let done = store.replace("race", Some(base.generation), &next).await.expect("an answer");
            done.then_some(format!("text {number}"))
        });
    }
    let won: Vec<String> = tasks.join_all().await.into_iter().flatten().collect();
    assert_eq!(won.len(), 1, "{won:?}");
    assert_eq!(active(&**store, "race").await.as_ref(), won.first());
}

async fn what_is_no_longer_kept_is_gone(store: &dyn PolicyStore) {
    let first = push(store, "many", "0").await;
    for number in 1..=VERSIONS_MAX {
        push(store, "many", &number.to_string()).await;
    }
    let record = records(store).await.records.remove("many").expect("a record");
    assert_eq!((record.versions.len(), record.versions[0].version), (VERSIONS_MAX, 2));
    assert_eq!(store.text("many", &first.versions[0]).await, Ok(None));
    for version in &record.versions {
        let text = store.text("many", version).await.expect("an answer");
        assert_eq!(text, Some((version.version - 1).to_string()));
    }
}

async fn limits(store: &dyn PolicyStore) {
    for number in records(store).await.records.len()..NAMES_MAX {
        push(store, &format!("name-{number}"), "x").await;
    }
    let next = pushed(None, "x");
    assert_eq!(store.replace("one-more", None, &next).await, Err(PoliciesError::TooManyNames));
    assert_eq!(records(store).await.records.len(), NAMES_MAX);
    push(store, "shop", "whoever is there goes on").await;
}
