//! Policies on disk: over a restart, and what becomes of damage.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use larder_node::policies::{Change, OpenError, PoliciesError, PolicyStore, open};

use crate::contract::{active, changed, check, push, records};

async fn opened(folder: &Path) -> Arc<dyn PolicyStore> {
    open(&format!("disk:{}", folder.display())).await.expect("a store")
}

#[tokio::test(flavor = "multi_thread")]
async fn disk_keeps_the_contract() {
    let folder = tempfile::tempdir().expect("a folder");
    check(opened(&folder.path().join("made/for it")).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_keeps_everything() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = opened(folder.path()).await;
    push(&*store, "shop", "one").await;
    let record = push(&*store, "shop", "two").await;
    let shadow = Change::Push { text: "three", comment: "", shadow: true, again: false };
    let next = changed(Some(&record), &shadow);
    assert_eq!(store.replace("shop", Some(record.generation), &next).await, Ok(true));
    let before = records(&*store).await.records;
    let in_use = open(&format!("disk:{}", folder.path().display())).await.err();
    assert!(matches!(in_use, Some(OpenError::InUse { .. })), "{in_use:?}");
    drop(store);
    let store = opened(folder.path()).await;
    assert_eq!(records(&*store).await.records, before);
    for (version, text) in next.record.versions.iter().zip(["one", "two", "three"]) {
        assert_eq!(store.text("shop", version).await, Ok(Some(text.to_owned())));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_while_something_is_written_leaves_what_was_before() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = opened(folder.path()).await;
    let before = push(&*store, "shop", "one").await;
    drop(store);
    // The text of a second version is there, its record half written; and a name of which there is a text only.
    fs::write(folder.path().join("shop/2.json"), "two").expect("written");
    fs::write(folder.path().join("shop/record.new"), "larder pol").expect("written");
    fs::create_dir(folder.path().join("other")).expect("made");
    fs::write(folder.path().join("other/1.json"), "x").expect("written");
    let store = opened(folder.path()).await;
    let now = records(&*store).await.records;
    assert_eq!(now.into_iter().collect::<Vec<_>>(), [("shop".to_owned(), before)]);
    push(&*store, "shop", "another two").await;
    push(&*store, "other", "y").await;
    assert_eq!(active(&*store, "shop").await.as_deref(), Some("another two"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_record_is_set_aside_with_its_texts_and_the_name_is_free() {
    let folder = tempfile::tempdir().expect("a folder");
    for (number, damage) in ["", "garbage", "larder policy 1\n00000000\n{}\n"].into_iter().enumerate() {
        let store = opened(folder.path()).await;
        push(&*store, "shop", &format!("text {number}")).await;
        push(&*store, "well", &format!("text {number}")).await;
        drop(store);
        fs::write(folder.path().join("shop/record"), damage).expect("written");
        let store = opened(folder.path()).await;
        let names: Vec<String> = records(&*store).await.records.into_keys().collect();
        assert_eq!(names, ["well"]);
        let aside = if number == 0 { "shop.damaged".to_owned() } else { format!("shop.damaged.{number}") };
        let kept = fs::read_to_string(folder.path().join(aside).join("1.json")).expect("it is kept");
        assert_eq!(kept, format!("text {number}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_with_a_bit_turned_is_damaged_wherever_that_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = opened(folder.path()).await;
    push(&*store, "shop", "text").await;
    drop(store);
    let (file, aside) = (folder.path().join("shop/record"), folder.path().join("shop.damaged"));
    let whole = fs::read(&file).expect("a record");
    for at in (0..whole.len()).step_by(7) {
        let mut bent = whole.clone();
        bent[at] ^= 1;
        fs::write(&file, &bent).expect("written");
        assert!(records(&*opened(folder.path()).await).await.records.is_empty(), "byte {at}");
        fs::rename(&aside, folder.path().join("shop")).expect("it was set aside");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_is_another_one_is_never_handed_out() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = opened(folder.path()).await;
    let record = push(&*store, "shop", "text").await;
    let (file, aside) = (folder.path().join("shop/1.json"), folder.path().join("shop/1.json.damaged"));
    fs::write(&file, "another").expect("written");
    let damaged = store.text("shop", &record.versions[0]).await;
    let Err(PoliciesError::Damaged { why, .. }) = damaged else { panic!("{damaged:?}") };
    assert!(why.contains("1.json.damaged"), "{why}");
    assert_eq!(fs::read_to_string(aside).expect("it is kept"), "another");
    assert_eq!(store.text("shop", &record.versions[0]).await, Ok(None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_cannot_be_written_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = opened(folder.path()).await;
    let before = push(&*store, "shop", "one").await;
    // Where the next text would be written, there is a folder.
    fs::create_dir(folder.path().join("shop/2.new")).expect("made");
    let next = crate::contract::pushed(Some(&before), "two");
    let refused = store.replace("shop", Some(before.generation), &next).await;
    assert!(refused.as_ref().is_err_and(|error| error.to_string().contains("shop")), "{refused:?}");
    assert_eq!(active(&*store, "shop").await.as_deref(), Some("one"));
    let refused = open("disk:/dev/null/x").await.err().expect("refused").to_string();
    assert!(refused.contains("/dev/null/x"), "{refused}");
}
