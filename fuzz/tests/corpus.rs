//! Every target with everything that is kept for it: the corpus, inputs that once broke a property, and files of the repository. Without
//! libFuzzer. Targets that run the module are in `module_corpus.rs`.

mod replay;

#[test]
fn no_kept_input_breaks_a_property() {
    replay::all(false);
}

#[test]
fn every_folder_is_a_targets() {
    for folder in ["corpus", "regressions"] {
        for entry in std::fs::read_dir(replay::root().join("fuzz").join(folder)).expect("a folder") {
            let name = entry.expect("an entry").file_name().to_string_lossy().into_owned();
            assert!(larder_fuzz::target(&name).is_some(), "fuzz/{folder}/{name} is no target's");
        }
    }
    let names: Vec<&str> = larder_fuzz::targets::ALL.iter().map(|target| target.name).collect();
    assert!(names.is_sorted_by(|left, right| left < right), "{names:?}");
    for name in names {
        let folder = replay::root().join("fuzz/corpus").join(name);
        assert!(folder.read_dir().is_ok_and(|mut files| files.next().is_some()), "{} is empty", folder.display());
    }
}
